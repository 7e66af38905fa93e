import { createHash } from 'node:crypto'
import { type Layer, layerType } from './layer.ts'

/** How a container of the image runs, by the names of the OCI image specification. */
export type RunConfig = {
  User?: string
  Entrypoint?: string[]
  Cmd?: string[]
  Env?: string[]
  WorkingDir?: string
}

export type Document = { digest: string; bytes: Buffer }

export const manifestType = 'application/vnd.oci.image.manifest.v1+json'

const document = (value: object): Document => {
  const bytes = Buffer.from(JSON.stringify(value))
  return { bytes, digest: `sha256:${createHash('sha256').update(bytes).digest('hex')}` }
}

/** The configuration and the manifest of an image for linux/amd64. They carry no time, so equal images are identical. */
export function describeImage(config: RunConfig, layers: Layer[]): { config: Document; manifest: Document } {
  const about = document({
    architecture: 'amd64',
    os: 'linux',
    config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], ...config },
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
  const manifest = document({
    schemaVersion: 2,
    mediaType: manifestType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: about.digest,
      size: about.bytes.length,
    },
    layers: layers.map(({ digest, size }) => ({ mediaType: layerType, digest, size })),
  })
  return { config: about, manifest }
}
