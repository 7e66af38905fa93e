import { isMap, YAMLSeq } from 'yaml'
import { parse, print } from './documents.ts'
import type { Environment } from './environments.ts'
import { Refusal } from './refusal.ts'
import type { Release } from './release-file.ts'

/** A release that an environment was rolled back from: the images, and the commit, which would only be built again. */
export type Quarantined = { environment: Environment; commit?: string; digests: string[]; reason?: string }

const emptyFile = `# Written by \`npx nx run gitops:rollback\`: bump and promote refuse what stands here, wherever it failed.
# \`npx nx run gitops:rollback --release COMMIT\` takes it out again.
quarantined: []
`

/** Reads the file. Throws a Refusal when it is not one, so that a broken one lets nothing through. */
export function readQuarantine(text: string | undefined, path: string): Quarantined[] {
  if (text === undefined) return []
  const { quarantined } = parse(text, path).toJS() as { quarantined?: unknown }
  if (!Array.isArray(quarantined) || !quarantined.every(isQuarantined)) {
    throw new Refusal(`${path} is not a list of quarantined releases: restore it from its history`)
  }
  return quarantined
}

function isQuarantined(value: unknown): value is Quarantined {
  const entry = value as Partial<Record<keyof Quarantined, unknown>> | null
  const digests = entry?.digests
  return (
    typeof entry?.environment === 'string' &&
    ['string', 'undefined'].includes(typeof entry.commit) &&
    Array.isArray(digests) &&
    digests.every((digest) => typeof digest === 'string')
  )
}

/** The file with one more entry. */
export function addQuarantined(text: string | undefined, path: string, entry: Quarantined): string {
  const document = parse(text ?? emptyFile, path)
  const list = document.get('quarantined')
  if (!(list instanceof YAMLSeq)) throw new Refusal(`${path} is not a list of quarantined releases: restore it`)
  list.flow = false
  list.add(document.createNode(entry))
  return print(document)
}

/** The file without the entries that `which` picks. */
export function dropQuarantined(text: string, path: string, which: (entry: Quarantined) => boolean): string {
  const document = parse(text, path)
  const list = document.get('quarantined')
  if (list instanceof YAMLSeq) {
    list.items = list.items.filter((item) => !(isMap(item) && which(item.toJS(document) as Quarantined)))
  }
  return print(document)
}

/** Whether an entry is about these images, or about the commit that they were built from. */
export function concerns(entry: Quarantined, { commit, images }: Release): boolean {
  return (
    images.some(({ digest }) => entry.digests.includes(digest)) || (commit !== undefined && entry.commit === commit)
  )
}
