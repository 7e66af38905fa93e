import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Image, publish, staticImage } from './build.ts'
import { putText } from './files.ts'
import { staticImages } from './static.ts'

const bundle = '/etc/ssl/certs/ca-certificates.crt'

/** Pushes every image of the cluster; each trusts the authority of the cluster's forge beside the public ones. */
export async function publishImages(registry: string, authority: string): Promise<void> {
  const images: Image[] = staticImages.map(staticImage)
  for (const image of images) await publish(registry, trusting(image, authority))
}

const trusting = (image: Image, authority: string): Image => ({
  ...image,
  fill: async (root) => {
    await image.fill(root)
    const own = await readFile(join(root, bundle), 'utf8').catch(() => readFile(bundle, 'utf8'))
    await putText(root, bundle, `${own}\n${authority}`)
  },
})
