import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parse } from 'yaml'

const targets = join(import.meta.dirname, '../../targets')

type Facts = Record<string, string>

/** The facts of one folder of targets/. Throws an Error when it has none. */
export function factsOf(target: string, root = targets): Facts {
  const { data } = parse(readFileSync(join(root, target, 'facts.yaml'), 'utf8')) as { data?: Facts }
  if (data === undefined) throw new Error(`targets/${target}/facts.yaml holds no facts: restore it from its history.`)
  return data
}

/** A fact of the fork. Throws an Error for one that nobody has set: then nothing may be built or pushed. */
export function forkFact(name: string, root = targets): string {
  const value = factsOf('fork', root)[name]
  if (value === undefined) throw new Error(`${name} is not a fact of the fork: see targets/fork/facts.yaml.`)
  if (/(^|[./])example\.(com|org|net)(\/|$)/.test(value)) {
    throw new Error(`${name} is still ${value}: run npx nx run gitops:adopt once, with what is yours.`)
  }
  return value
}

/** Where an environment is served, one address a target. A host is below the domain of its target, or of the fork. */
export function addressesOf(environment: string, root = targets): URL[] {
  return globSync('*/facts.yaml', { cwd: root })
    .map((file) => factsOf(dirname(file), root))
    .filter((facts) => facts.environment === environment && facts.host !== undefined)
    .map(({ host, domain }) => new URL(`https://${host}.${domain ?? factsOf('fork', root).domain}`))
    .sort((a, b) => a.href.localeCompare(b.href))
}
