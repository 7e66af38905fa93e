import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { releasePath } from '../release/environments.ts'
import { readRelease } from '../release/release-file.ts'

const root = join(import.meta.dirname, '../../..')

/** The host of the fork, and its address, as the cluster has them. */
export const gitHost = 'git.orders.internal'
export const repositoryUrl = `https://${gitHost}/orders/orders`

/** A fork of this very commit that a cluster follows: a bare repository, and a clone to write to it from. */
export type Fork = {
  /** Below it lie the bare repositories. */
  served: string
  bare: string
  clone: string
  /** Runs a command of the release tool in the clone, and answers its output. */
  release: (...args: string[]) => string
  /** The commit that the cluster should be at. */
  tip: () => string
  /** Commits and pushes every change of the clone; answers the commit. */
  commit: (subject: string) => string
  /** A newer commit that changes nothing, for a release that follows. */
  emptyCommit: (subject: string) => string
  /** Pushes a branch that has these files beside those of main. */
  branch: (name: string, files: Record<string, string>) => void
  /** Lists a component, relative to gitops/, in the kustomization of a folder; the next commit contains it. */
  addComponent: (folder: string, component: string) => void
  /** The commit that an environment asks for. */
  released: (environment: 'local' | 'dev' | 'staging' | 'prod') => string | undefined
  pull: () => void
}

/** Makes the fork below `folder`, at the commit that is checked out here. */
export function makeFork(folder: string): Fork {
  const served = join(folder, 'served')
  const bare = join(served, 'orders/orders')
  const clone = join(folder, 'clone')
  mkdirSync(dirname(bare), { recursive: true })
  const git = (...args: string[]) => run('git', args, clone)
  run('git', ['clone', '--quiet', '--bare', '--no-local', root, bare], folder)
  run('git', ['--git-dir', bare, 'branch', '--force', 'main', run('git', ['rev-parse', 'HEAD'], root)], folder)
  run('git', ['--git-dir', bare, 'symbolic-ref', 'HEAD', 'refs/heads/main'], folder)
  run('git', ['clone', '--quiet', '--branch', 'main', bare, clone], folder)
  git('config', 'user.name', 'Orders e2e')
  git('config', 'user.email', 'e2e@orders.invalid')
  // The installed packages of this checkout: the clone is the same commit.
  symlinkSync(join(root, 'node_modules'), join(clone, 'node_modules'))
  return openFork(folder)
}

/** The fork that was made below `folder`. */
export function openFork(folder: string): Fork {
  const served = join(folder, 'served')
  const bare = join(served, 'orders/orders')
  const clone = join(folder, 'clone')
  const git = (...args: string[]) => run('git', args, clone)
  const pull = () => void git('pull', '--quiet', '--ff-only')
  const tip = () => git('rev-parse', 'HEAD')
  const write = (files: Record<string, string>) => {
    for (const [path, text] of Object.entries(files)) {
      mkdirSync(dirname(join(clone, path)), { recursive: true })
      writeFileSync(join(clone, path), text)
    }
  }
  const commit = (subject: string, ...options: string[]) => {
    git('add', '--all', ':!node_modules')
    git('commit', '--quiet', ...options, '--message', subject)
    git('push', '--quiet', 'origin', 'main')
    return tip()
  }
  return {
    served,
    bare,
    clone,
    pull,
    tip,
    commit: (subject) => commit(subject),
    emptyCommit: (subject) => commit(subject, '--allow-empty'),
    release: (...args) => {
      const answer = run(process.execPath, ['gitops/src/release/cli.ts', ...args], clone)
      pull()
      return answer
    },
    branch: (name, files) => {
      git('switch', '--quiet', '--force-create', name)
      write(files)
      git('add', '--all', ':!node_modules')
      git('commit', '--quiet', '--message', `Files of ${name}`)
      git('push', '--quiet', '--force', 'origin', name)
      git('switch', '--quiet', 'main')
    },
    addComponent: (folder, component) => {
      const file = join(clone, 'gitops', folder, 'kustomization.yaml')
      const text = readFileSync(file, 'utf8')
      // The facts stay last: they write into what the components add.
      writeFileSync(file, text.replace(/( {2}- \S*\/facts\n)$/, `  - ${component}\n$1`))
    },
    released: (environment) => {
      const path = releasePath(environment)
      return readRelease(readFileSync(join(clone, path), 'utf8'), path).commit
    },
  }
}

/** Runs a program, and answers its output. Throws an Error that names the program and ends with what it printed. */
function run(program: string, args: string[], cwd: string): string {
  try {
    return execFileSync(program, args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      maxBuffer: 2 ** 28,
    }).trim()
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string }
    throw new Error(`${program} ${args.slice(0, 3).join(' ')} failed: ${stderr?.trim() || message}`)
  }
}
