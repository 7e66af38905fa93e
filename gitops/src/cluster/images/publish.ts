import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import pins from '../../../cluster.json' with { type: 'json' }
import { exists } from '../../tools/cache.ts'
import { argocdImage } from './argocd.ts'
import { type Image, publish, staticImage } from './build.ts'
import { putText } from './files.ts'
import { flagdStub } from './flagd-stub.ts'
import { postgresImage } from './postgres.ts'
import { pythonPackage } from './root-file-system.ts'
import { envoyImage, redisImage } from './services.ts'
import { staticImages } from './static.ts'

const bundle = '/etc/ssl/certs/ca-certificates.crt'

/** Images of programs that are not Go programs of their own, by the repository that manifests take them from. */
const makers: Record<string, (name: string) => Image> = {
  'docker.io/envoyproxy/envoy': envoyImage,
  'ghcr.io/cloudnative-pg/postgresql': postgresImage,
  'ghcr.io/open-feature/flagd': flagdStub,
  'docker.io/library/redis': redisImage,
  'public.ecr.aws/docker/library/redis': redisImage,
}

const imagesFor = (named: string[], programs: string[]): Image[] => [
  ...staticImages.filter(({ program }) => programs.includes(program)).map(staticImage),
  argocdImage(),
  ...named.map((name) => {
    const maker = makers[name.replace(/:[^/]*$/, '')]
    if (maker === undefined) throw new Error(`No image of ${name} is made: name how in images/publish.ts.`)
    return maker(name)
  }),
]

/** Fetches the Debian and PyPI packages of all images into the cache; publishing them then needs no network. */
export async function fetchPackages(named: string[], programs: string[]): Promise<void> {
  for (const image of imagesFor(named, programs)) await image.below?.()
  for (const [name, version] of Object.entries(pins.python)) await pythonPackage(name, version)
}

/**
 * Pushes the images of `programs`, which have the names that their charts use, and those that `named` asks for. Each
 * trusts the authority of the cluster's forge beside the public ones. Answers the digests by name.
 */
export async function publishImages(
  registry: string,
  authority: string,
  named: string[],
  programs: string[],
): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  for (const image of imagesFor(named, programs)) {
    const { name, digest } = await publish(registry, trusting(image, authority))
    digests.set(name, digest)
  }
  return digests
}

const trusting = (image: Image, authority: string): Image => ({
  ...image,
  fill: async (root) => {
    await image.fill(root)
    const own = join(root, bundle)
    const text = await readFile((await exists(own)) ? own : bundle, 'utf8')
    await putText(root, bundle, `${text}\n${authority}`)
  },
})
