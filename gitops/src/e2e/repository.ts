import { createHash } from 'node:crypto'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { registry, run } from './cluster.ts'

const root = join(import.meta.dirname, '../../..')

/** A fork of this very commit that a cluster follows: a bare repository, and a clone to write to it from. */
export type Fork = {
  /** Below it lie the bare repositories. */
  served: string
  clone: string
  /** Runs a command of the release tool in the clone. */
  release: (...args: string[]) => string
  /** The commit that the cluster should be at. */
  tip: () => string
}

/** Makes the fork below `folder`, at the commit that is checked out here. */
export function makeFork(folder: string): Fork {
  const served = join(folder, 'served')
  const bare = join(served, 'orders/orders')
  const clone = join(folder, 'clone')
  mkdirSync(join(served, 'orders'), { recursive: true })
  run('git', ['clone', '--quiet', '--bare', '--no-local', root, bare])
  run('git', ['--git-dir', bare, 'branch', '--force', 'main', run('git', ['rev-parse', 'HEAD'], { cwd: root })])
  run('git', ['clone', '--quiet', '--branch', 'main', bare, clone])
  // The installed packages of this checkout: the clone is the same commit.
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))
  const release = (...args: string[]) => {
    const said = run(process.execPath, ['gitops/src/release/cli.ts', ...args], { cwd: clone })
    run('git', ['pull', '--quiet', '--ff-only'], { cwd: clone })
    return said
  }
  return { served, clone, release, tip: () => run('git', ['rev-parse', 'HEAD'], { cwd: clone }) }
}

/** A newer commit that changes nothing, for a release that follows; answers its id. */
export function commitNothing({ clone, tip }: Fork, subject: string): string {
  const author = ['-c', 'user.name=Orders e2e', '-c', 'user.email=e2e@orders.invalid']
  run('git', [...author, 'commit', '--quiet', '--allow-empty', '--message', subject], { cwd: clone })
  run('git', ['push', '--quiet', 'origin', 'main'], { cwd: clone })
  return tip()
}

/** Pushes the image that was built from this commit to the registry of the cluster; answers it by digest. */
export function pushBuilt(): string {
  const image = `${registry}/orders-api`
  run('npx', ['nx', 'run', 'orders-api:image'], { cwd: root })
  run('docker', ['tag', 'orders-api', image])
  run('docker', ['push', '--quiet', image])
  const digests: string[] = JSON.parse(run('docker', ['image', 'inspect', '--format', '{{json .RepoDigests}}', image]))
  const digest = digests.find((it) => it.startsWith(`${image}@`))
  if (digest === undefined) throw new Error(`docker push tells no digest of ${image}: update Docker.`)
  return digest
}

/** An image of which nobody has a byte. */
export const noImage = `${registry}/orders-api@sha256:${createHash('sha256').update('no image').digest('hex')}`
