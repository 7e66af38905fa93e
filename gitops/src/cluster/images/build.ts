/** Builds images into a folder and pushes them to a registry. */
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { program } from '../programs.ts'
import { putBasics, putLink, putProgram } from './files.ts'
import { type Layer, packLayer } from './layer.ts'
import type { RunConfig } from './manifest.ts'
import { pushImage } from './registry.ts'
import { fullName, type StaticImage } from './static.ts'

export type Image = {
  name: string
  config: RunConfig
  /** Layers below the image's own files. */
  below?: () => Promise<Layer[]>
  /** Writes the image's own files. */
  fill: (root: string) => Promise<void>
}

export const staticImage = (image: StaticImage): Image => ({
  name: fullName(image),
  config: { User: image.user, Entrypoint: [image.path, ...(image.args ?? [])], WorkingDir: image.folder ?? '/' },
  fill: async (root) => {
    await putBasics(root, image.user)
    await putProgram(root, await program(image.program), image.path)
    for (const [name, path] of Object.entries(image.more ?? {})) await putProgram(root, await program(name), path)
    for (const link of image.links ?? []) await putLink(root, link, image.path)
  },
})

/** Builds an image and pushes it to a registry such as `http://localhost:5001`. */
export async function publish(registry: string, image: Image): Promise<{ name: string; digest: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-image-'))
  try {
    const root = join(folder, 'root')
    await mkdir(root, { mode: 0o755 })
    await image.fill(root)
    const own = await packLayer(root, join(folder, 'layer.tar'))
    return await pushImage(registry, image.name, image.config, [...((await image.below?.()) ?? []), own])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
