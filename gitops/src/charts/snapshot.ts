import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gitopsRoot } from '../render.ts'
import { type Document, nameOf, ofKind } from '../rules/documents.ts'

/** A published version of a chart: the version of the program that it installs, and whether the chart is deprecated. */
export type Published = { app?: string; deprecated?: true }

/** What a repository of charts had published on a day: the versions that Applications pin, and the newest stable one. */
export type Repository = { read: string; charts: Record<string, Record<string, Published>> }

/** By the address of the repository, as Applications name it. */
export type Snapshot = Record<string, Repository>

/** A chart that an Application installs. */
export type Pin = { where: string; repository: string; chart: string; version: string }

const file = join(gitopsRoot, 'charts.json')

export const readSnapshot = (): Snapshot => JSON.parse(readFileSync(file, 'utf8')) as Snapshot

export const writeSnapshot = (snapshot: Snapshot) => writeFileSync(file, `${JSON.stringify(snapshot, null, 2)}\n`)

/** Every chart that the Applications of the rendered sets install, once. */
export function pinsOf(sets: Map<string, Document[]>): Pin[] {
  const pins = [...sets].flatMap(([path, set]) =>
    ofKind(set, 'Application').flatMap((application) =>
      (application.spec?.sources ?? [application.spec?.source ?? { repoURL: '' }]).flatMap(
        ({ repoURL: repository, chart, targetRevision: version = '' }): Pin[] =>
          chart === undefined ? [] : [{ where: `${path}: ${nameOf(application)}`, repository, chart, version }],
      ),
    ),
  )
  const keyOf = ({ repository, chart, version }: Pin) => `${repository} ${chart} ${version}`
  return [...new Map(pins.map((pin) => [keyOf(pin), pin])).values()]
}

/** The pins that no cluster could install, or should no longer, a sentence each. */
export function unpublished(pins: Pin[], snapshot: Snapshot): string[] {
  return pins.flatMap(({ where, repository, chart, version }) => {
    const { read, charts } = snapshot[repository] ?? { read: 'any day', charts: {} }
    const versions = charts[chart] ?? {}
    const found = versions[version]
    if (found?.deprecated) return [`${where} installs ${chart} ${version}, which ${repository} has deprecated`]
    if (found) return []
    const known = Object.keys(versions).join(', ') || 'none'
    return [
      `${where} installs ${chart} ${version}, which charts.json does not list for ${repository} on ${read} (it lists ${known}): pin a published version, then run npx nx run gitops:update-charts`,
    ]
  })
}

/** Where schemas of an add-on's kinds come from. `because` says why not from the version that its chart installs. */
type Source = { package: string; version: string; chart?: string; because?: string }

/** The sources of schemas that are not of the version that the pinned chart installs, without a reason, a sentence each. */
export function otherSchemas(pins: Pin[], snapshot: Snapshot, sources: Source[]): string[] {
  return sources.flatMap(({ package: name, version, chart, because }) => {
    const pin = pins.find((it) => it.chart === chart)
    if (pin === undefined) return [`tools.json names no chart that installs ${name}: add \`chart\``]
    const app = snapshot[pin.repository]?.charts[pin.chart]?.[pin.version]?.app?.replace(/^v/, '')
    if (app === version) return because ? [`tools.json excuses the schemas of ${name}, which need no excuse`] : []
    return because
      ? []
      : [`tools.json reads schemas of ${name} ${version}, but ${chart} ${pin.version} installs ${app}`]
  })
}
