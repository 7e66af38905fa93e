import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { stage } from '../../../infra/src/stage.ts'
import { type Layer, packLayer } from './images/layer.ts'
import type { RunConfig } from './images/manifest.ts'
import { pushImage } from './images/registry.ts'
import { debianLayer } from './images/root-file-system.ts'

const root = join(import.meta.dirname, '../../..')
/** The registry of the fork, as its manifests name it; every node takes it from the registry of this machine. */
export const releaseRegistry = 'registry.orders.internal/orders'
const repository = `${releaseRegistry}/orders-api`

/** A release that is not as it should be: an image that does not exist, or one with other files. */
export type Variant = { kind: 'missing' } | { kind: 'files'; files: Record<string, string> }

export type ReleaseImages = {
  /** Pushes the image of this checkout, labelled as built from a commit; answers `NAME@sha256:...`. */
  push: (commit: string, variant?: Variant, tag?: string) => Promise<string>
}

/** Packs the files that processes run in production once; each image then differs in its configuration or one layer. */
export async function createReleaseImages(folder: string, registry: string): Promise<ReleaseImages> {
  const files = join(folder, 'release')
  stage({ root, apps: ['orders-api', 'orders-worker'], arch: 'x64', to: join(files, 'opt/orders'), epoch: 0 })
  const layers = [
    await debianLayer(
      ['base-files', 'netbase', 'tzdata', 'libc6', 'libgcc-s1', 'libstdc++6', 'ca-certificates'],
      'extract',
    ),
    await packLayer(files, join(folder, 'release.tar')),
  ]
  const push = async (commit: string, variant?: Variant, tag = `sha-${commit}`) => {
    if (variant?.kind === 'missing') return `${repository}@sha256:${createHash('sha256').update(commit).digest('hex')}`
    const extra = variant === undefined ? [] : [await fileLayer(folder, variant.files)]
    const { digest } = await pushImage(registry, `${repository}:${tag}`, configuration(commit), [...layers, ...extra])
    return `${repository}@${digest}`
  }
  return { push }
}

/** As infra/images/Dockerfile sets it. */
const configuration = (commit: string): RunConfig => ({
  User: '10001:10001',
  Entrypoint: ['node'],
  Cmd: ['apps/orders-api/src/server.ts'],
  WorkingDir: '/opt/orders',
  Env: ['PATH=/opt/orders/bin:/usr/local/bin:/usr/bin:/bin', 'HOST=0.0.0.0', `ORDERS_COMMIT=${commit}`],
})

function fileLayer(folder: string, files: Record<string, string>): Promise<Layer> {
  const work = mkdtempSync(join(folder, 'layer-'))
  for (const [path, text] of Object.entries(files)) {
    const file = join(work, 'opt/orders', path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    writeFileSync(file, text, { mode: 0o644 })
  }
  return packLayer(work, `${work}.tar`)
}
