import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

/** A version in a file of the repository, as the file writes it. */
export type Pin = { file: string; name: string; version: string }

type CustomManager = { managerFilePatterns: string[]; matchStrings: string[] }
type Config = {
  enabledManagers: string[]
  argocd: { managerFilePatterns: string[] }
  customManagers: CustomManager[]
}
type Tools = {
  kubernetes: Record<string, string>
  tools: Record<string, { version: string; package: string }>
  schemas: { kubernetes: { version: string; package: string }; crds: { version: string; package: string }[] }
}
type Source = { chart?: string; targetRevision?: string }

/** Renovate writes a pattern as a string between slashes. */
const patternOf = (text: string) => new RegExp(text.replace(/^\/(.*)\/$/s, '$1'))
const covers = (patterns: string[], file: string) => patterns.some((pattern) => patternOf(pattern).test(file))

/** The pins that the custom managers of Renovate find in a file. */
export function foundPins({ customManagers }: Config, file: string, text: string): Pin[] {
  return customManagers
    .filter(({ managerFilePatterns }) => covers(managerFilePatterns, file))
    .flatMap(({ matchStrings }) => matchStrings)
    .flatMap((pattern) => [...text.matchAll(new RegExp(pattern, 'g'))])
    .map(({ groups }) => ({ file, name: groups?.depName ?? '', version: groups?.currentValue ?? '' }))
}

/** Every pin of tools.json. */
export function toolPins(file: string, text: string): Pin[] {
  const { kubernetes, tools, schemas } = JSON.parse(text) as Tools
  const packages = [...Object.values(tools), schemas.kubernetes, ...schemas.crds]
  return [
    ...Object.entries(kubernetes).map(([name, version]) => ({ file, name, version })),
    ...packages.map(({ package: name, version }) => ({ file, name, version })),
  ]
}

/** Every chart that an Application of a file pins. */
export function chartPins(file: string, text: string): Pin[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as { kind?: string; spec?: { sources?: Source[] } } | null)
    .filter((document) => document?.kind === 'Application')
    .flatMap((document) => document?.spec?.sources ?? [])
    .flatMap(({ chart, targetRevision = '' }) => (chart ? [{ file, name: chart, version: targetRevision }] : []))
}

/** The pins of tools.json and of Applications that no rule of Renovate updates, a sentence each. */
export function pinsWithoutUpdates(root: string, readText = (file: string) => readFileSync(join(root, file), 'utf8')) {
  const config = JSON.parse(readText('.github/renovate.json')) as Config
  const tools = 'gitops/tools.json'
  const found = foundPins(config, tools, readText(tools))
  const updated = (pin: Pin) =>
    found.some(({ name, version }) => version === pin.version && (pin.name === name || pin.name.startsWith(`${name}/`)))
  const charts = globSync('gitops/argocd/**/*.yaml', { cwd: root }).flatMap((file) => chartPins(file, readText(file)))
  const missing = [
    ...toolPins(tools, readText(tools)).filter((pin) => !updated(pin)),
    ...charts.filter(({ file }) => !covers(config.argocd.managerFilePatterns, file)),
  ]
  return [
    ...['npm', 'github-actions', 'argocd', 'kubernetes', 'custom.regex']
      .filter((manager) => !config.enabledManagers.includes(manager))
      .map((manager) => `.github/renovate.json does not enable the manager ${manager}`),
    ...(charts.length === 0 ? ['no Application pins a chart: nothing was checked'] : []),
    ...missing.map(({ file, name, version }) => `${file} pins ${name} ${version}, which no rule of Renovate updates`),
  ]
}
