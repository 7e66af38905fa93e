import { addressesOf } from '../delivery/facts.ts'
import { type Fork, repositoryUrl } from './fork.ts'
import type { Kubernetes } from './kubernetes.ts'
import { notify } from './notify.ts'
import { createReleaseImages, releaseRegistry } from './release-images.ts'
import type { Context } from './scenario/step.ts'

/** The address of the service in the target `local`, as its users have it. */
export const [serviceAddress = new URL('https://orders.localhost')] = addressesOf('local')

/**
 * Adopts the fork and releases the image of this checkout to `local`, as the owner of a fork does before the first sync.
 * `registry` is the address at which this machine pushes images.
 */
export async function createContext(
  kubernetes: Kubernetes,
  fork: Fork,
  folder: string,
  registry: string,
): Promise<Context> {
  const images = await createReleaseImages(folder, registry)
  const source = fork.tip()
  const image = await images.push(source)
  const facts = ['--repo', repositoryUrl, '--registry', releaseRegistry, '--domain', 'orders.internal']
  fork.release('adopt', ...facts)
  fork.release('bump', '--env', 'local', '--image', image, '--commit', source)
  const authority = async () => {
    const secret = await kubernetes.read('/api/v1/namespaces/gateway/secrets/orders-tls')
    return Buffer.from(String(secret?.data?.['ca.crt'] ?? ''), 'base64').toString()
  }
  return {
    kubernetes,
    fork,
    images,
    folder,
    address: serviceAddress,
    slowness: 1,
    authority,
    notify: () => notify(kubernetes, fork),
  }
}
