import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Layer, packLayer } from './images/layer.ts'
import { ordersImage, stageOrders } from './images/orders.ts'
import { pushImage } from './images/registry.ts'

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

const stagedIn = (folder: string) => join(folder, 'release')

/** Writes the files that processes run in production below `folder`, which needs npm, Debian and their registries. */
export async function stageRelease(folder: string): Promise<void> {
  await ordersImage('', '', async () => {}).below?.()
  await stageOrders(root, stagedIn(folder))
}

/** Packs the staged files once; each image then differs in its configuration or one layer. */
export async function createReleaseImages(folder: string, registry: string): Promise<ReleaseImages> {
  const { below, config } = ordersImage('', '', async () => {})
  const layers = [...((await below?.()) ?? []), await packLayer(stagedIn(folder), join(folder, 'release.tar'))]
  const push = async (commit: string, variant?: Variant, tag = `sha-${commit}`) => {
    if (variant?.kind === 'missing') return `${repository}@sha256:${createHash('sha256').update(commit).digest('hex')}`
    const extra = variant === undefined ? [] : [await fileLayer(folder, variant.files)]
    const env = (config.Env ?? []).map((one) => (one === 'ORDERS_COMMIT=' ? `${one}${commit}` : one))
    const { digest } = await pushImage(registry, `${repository}:${tag}`, { ...config, Env: env }, [...layers, ...extra])
    return `${repository}@${digest}`
  }
  return { push }
}

function fileLayer(folder: string, files: Record<string, string>): Promise<Layer> {
  const work = mkdtempSync(join(folder, 'layer-'))
  for (const [path, text] of Object.entries(files)) {
    const file = join(work, 'opt/orders', path)
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    writeFileSync(file, text, { mode: 0o644 })
  }
  return packLayer(work, `${work}.tar`)
}
