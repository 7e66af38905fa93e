import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { execute } from '../../tools/cache.ts'

/** A blob of an image as its manifest names it, and the file with its bytes. */
export type Layer = { digest: string; size: number; path: string }

// Not compressed: the registry and containerd run on the same machine, and compression would take longest of all steps.
export const layerType = 'application/vnd.oci.image.layer.v1.tar'

/** Packs a folder; the same files give the same digest. Only the times are dropped: modes and owners stay. */
export async function packLayer(folder: string, path: string): Promise<Layer> {
  const order = ['--format=gnu', '--sort=name', '--mtime=@0', '--numeric-owner', '--hard-dereference']
  await execute(`${folder} was not packed.`, 'tar', ['--create', ...order, '--directory', folder, '--file', path, '.'])
  return readLayer(path)
}

/** The digest and the size of a layer that is already packed. */
export async function readLayer(path: string): Promise<Layer> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return { digest: `sha256:${hash.digest('hex')}`, size: (await stat(path)).size, path }
}
