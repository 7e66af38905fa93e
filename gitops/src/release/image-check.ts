import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fromRegistry } from '../registry.ts'
import { Refusal } from './refusal.ts'
import { describe, type Image } from './release-file.ts'

const accept = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ')

const answers = new Map<string, Promise<boolean | undefined>>()

/**
 * Throws a Refusal for an image that its registry does not have: no cluster could start it, and its migration would hold
 * up the sync until its deadline. A registry that cannot be asked stops nobody: a rollback has to work without it.
 */
export async function refuseMissing(images: Image[]): Promise<void> {
  for (const image of images) {
    const name = describe(image)
    const known = answers.get(name) ?? exists(image)
    answers.set(name, known)
    if ((await known) === false)
      throw new Refusal(`${name} is not in its registry: push the image, or choose another release`)
  }
}

/** Does the registry have an image; undefined if it does not say. */
async function exists({ newName, digest }: Image): Promise<boolean | undefined> {
  const [registry = '', ...rest] = newName.split('/')
  const path = `${rest.join('/')}/manifests/${digest}`
  const options = { method: 'HEAD', accept, credentials: credentialsFor(registry) }
  const answer = await fromRegistry(registry, path, options).catch(() => undefined)
  if (answer?.ok) return true
  if (answer?.status === 404) return false
  console.warn(`${registry} did not say whether it has ${path}: it is not checked.`)
  return undefined
}

/** What `docker login` stored for a registry, as `user:password`; empty if nothing. */
function credentialsFor(registry: string): string {
  try {
    const file = join(process.env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json')
    const { auths } = JSON.parse(readFileSync(file, 'utf8')) as { auths?: Record<string, { auth?: string }> }
    return Buffer.from(auths?.[registry]?.auth ?? '', 'base64').toString('utf8')
  } catch {
    return ''
  }
}
