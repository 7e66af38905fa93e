import { createHash } from 'node:crypto'
import { openAsBlob } from 'node:fs'
import type { Layer } from './layer.ts'
import { describeImage, manifestType, type RunConfig } from './manifest.ts'

/** The repository and the tag of a name on a mirror of every registry: the name without its host. */
export function onMirror(name: string): { repository: string; tag: string } {
  const [, repository, tag] = /^[^/]+\/([a-z0-9._/-]+):([\w.-]+)$/.exec(name) ?? []
  if (repository === undefined || tag === undefined) {
    throw new Error(`${name} is not the name of an image with a host and a tag.`)
  }
  return { repository, tag }
}

/** Pushes an image by the OCI distribution API. Answers the digest; throws an Error with the answer of the registry. */
export async function pushImage(
  registry: string,
  name: string,
  config: RunConfig,
  layers: Layer[],
): Promise<{ name: string; digest: string }> {
  const { repository, tag } = onMirror(name)
  const at = `${registry}/v2/${repository}`
  const image = describeImage(config, layers)
  for (const { digest, path } of layers) await pushBlob(at, digest, () => openAsBlob(path))
  await pushBlob(at, image.config.digest, async () => new Blob([new Uint8Array(image.config.bytes)]))
  await request(`${at}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': manifestType },
    body: new Uint8Array(image.manifest.bytes),
  })
  return { name, digest: image.manifest.digest }
}

/** Pushes a Helm chart in OCI format, as `helm push` does. `metadata` are the fields of its Chart.yaml. */
export async function pushChart(registry: string, repository: string, tag: string, metadata: object, archive: Buffer) {
  const at = `${registry}/v2/${repository}`
  const blob = async (mediaType: string, bytes: Buffer) => {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    await pushBlob(at, digest, async () => new Blob([new Uint8Array(bytes)]))
    return { mediaType, digest, size: bytes.length }
  }
  const config = await blob('application/vnd.cncf.helm.config.v1+json', Buffer.from(JSON.stringify(metadata)))
  const layers = [await blob('application/vnd.cncf.helm.chart.content.v1.tar+gzip', archive)]
  const body = JSON.stringify({ schemaVersion: 2, mediaType: manifestType, config, layers })
  await request(`${at}/manifests/${tag}`, { method: 'PUT', headers: { 'content-type': manifestType }, body })
}

async function pushBlob(at: string, digest: string, open: () => Promise<Blob>): Promise<void> {
  if ((await fetch(`${at}/blobs/${digest}`, { method: 'HEAD' })).ok) return
  const started = await request(`${at}/blobs/uploads/`, { method: 'POST' })
  const target = new URL(started.headers.get('location') ?? '', at)
  target.searchParams.set('digest', digest)
  const headers = { 'content-type': 'application/octet-stream' }
  await request(target.href, { method: 'PUT', headers, body: await open() })
}

async function request(url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init)
  if (!response.ok) throw new Error(`${init.method} ${url} failed (${response.status}): ${await response.text()}`)
  return response
}
