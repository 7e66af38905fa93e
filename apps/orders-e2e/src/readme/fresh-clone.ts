import { execFileSync, type SpawnOptions, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { leftovers } from './leftovers.ts'

/** A clone of what is committed, and a way to run a shell command in it as the user who owns it. */
export type Clone = {
  folder: string
  run(command: string, options?: SpawnOptions): ReturnType<typeof spawn>
  remove(): void
}

/**
 * Clones the repository into a home: that of root, whose folder no other user may enter, or (`plain`) that of a new user
 * who is removed afterwards. Whoever is not root gets a clone of their own either way. Removing it kills what is left in it.
 */
export function freshClone(repository: string, user: 'root' | 'plain'): Clone {
  const isRoot = process.getuid?.() === 0
  if (!isRoot && user === 'root') throw new Error('Run this check as root, or ask for the plain user.')
  const name = isRoot && user === 'plain' ? `orders-${randomBytes(4).toString('hex')}` : undefined
  if (name !== undefined) execFileSync('useradd', ['--create-home', '--shell', '/bin/sh', name])
  const home = name === undefined ? (process.env.HOME ?? '/root') : `/home/${name}`
  const parent = mkdtempSync(join(home, 'orders-readme-'))
  const folder = join(parent, 'orders')
  execFileSync('git', ['clone', '--quiet', '--no-hardlinks', repository, folder])
  if (name !== undefined) execFileSync('chown', ['--recursive', `${name}:`, parent])

  const prefix = name === undefined ? [] : ['setpriv', `--reuid=${name}`, `--regid=${name}`, '--init-groups', '--']
  return {
    folder,
    run(command, options = {}) {
      const [program = '', ...args] = [...prefix, 'sh', '-c', command]
      // A group of its own, as a terminal gives to a command: it can be interrupted as a whole.
      return spawn(program, args, { cwd: folder, env: environment(home, name), detached: true, ...options })
    },
    remove() {
      for (const { pid } of leftovers(parent)) kill(pid)
      rmSync(parent, { recursive: true, force: true, maxRetries: 5 })
      if (name !== undefined) execFileSync('userdel', ['--force', '--remove', name], { stdio: 'ignore' })
    },
  }
}

/** Ignores a process that has already ended. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** What a newcomer's shell would have: nothing of the run that this one is part of. */
function environment(home: string, name: string | undefined): NodeJS.ProcessEnv {
  const registry = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim()
  const kept = Object.entries(process.env).filter(([key]) => !/^(npm_|NX_|TAP|_TAPJS|NODE_OPTIONS|INIT_CWD)/i.test(key))
  const path = (process.env.PATH ?? '').split(':').filter((entry) => !entry.includes('node_modules'))
  return {
    ...Object.fromEntries(kept),
    npm_config_registry: registry,
    PATH: path.join(':'),
    HOME: home,
    ...(name !== undefined && { USER: name, LOGNAME: name }),
  }
}
