import { parse } from 'yaml'
import { fromRegistry } from '../registry.ts'
import type { Published } from './snapshot.ts'

type Entry = { version: string; appVersion?: string; deprecated?: boolean }

/** Every published version of a chart, by its version. Throws an Error that names the repository that did not answer. */
export async function publishedVersions(
  repository: string,
  chart: string,
): Promise<Map<string, () => Promise<Published>>> {
  return /^https?:\/\//.test(repository)
    ? fromIndex(repository, chart)
    : fromTags(repository.replace(/^oci:\/\//, ''), chart)
}

/** Big indexes hold every chart of a repository: each is read once. */
const indexes = new Map<string, Promise<Record<string, Entry[]>>>()

async function fromIndex(repository: string, chart: string) {
  const index = indexes.get(repository) ?? readIndex(repository)
  indexes.set(repository, index)
  const entries = (await index)[chart] ?? []
  return new Map(entries.map((entry) => [entry.version, async () => describe(entry)]))
}

async function readIndex(repository: string): Promise<Record<string, Entry[]>> {
  const url = `${repository.replace(/\/$/, '')}/index.yaml`
  const answer = await fetch(url, { signal: AbortSignal.timeout(60_000) })
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: check the address of the repository.`)
  return (parse(await answer.text(), { maxAliasCount: -1 }) as { entries: Record<string, Entry[]> }).entries
}

/** Of a registry, the tags are the versions, and the configuration of an image is the metadata of its chart. */
async function fromTags(repository: string, chart: string) {
  const [registry = '', ...rest] = repository.split('/')
  const name = [...rest, chart].join('/')
  const read = async <T>(path: string, accept?: string) => {
    const answer = await fromRegistry(registry, `${name}/${path}`, accept === undefined ? {} : { accept })
    if (!answer.ok)
      throw new Error(`${registry}/${name}/${path} answered ${answer.status}: check the address of the chart.`)
    return (await answer.json()) as T
  }
  const { tags } = await read<{ tags: string[] }>('tags/list')
  return new Map(
    tags.map((tag) => [
      tag,
      async () => {
        const { config } = await read<{ config: { digest: string } }>(
          `manifests/${tag}`,
          'application/vnd.oci.image.manifest.v1+json',
        )
        return describe(await read<Entry>(`blobs/${config.digest}`))
      },
    ]),
  )
}

const describe = ({ appVersion, deprecated }: Entry): Published => ({
  ...(appVersion === undefined ? {} : { app: String(appVersion) }),
  ...(deprecated ? { deprecated: true as const } : {}),
})
