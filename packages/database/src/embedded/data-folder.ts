import { randomBytes } from 'node:crypto'
import { chown, mkdir, open, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Binaries } from './binaries.ts'
import { EmbeddedPostgresError, explainOutput } from './error.ts'
import { spawnGuarded } from './guarded-process.ts'

const passwordFile = 'superuser-password'

/** The superuser's password of a data folder. */
export async function readPassword(dataDir: string): Promise<string> {
  return (await readFile(join(dataDir, passwordFile), 'utf8')).trim()
}

/** Makes sure `dataDir` holds a cluster of our version; returns its real path. `sync` makes it survive a power cut. */
export async function prepareDataFolder(dataDir: string, binaries: Binaries, sync: boolean): Promise<string> {
  if (!(await hasCluster(dataDir, binaries.major))) await createCluster(dataDir, binaries, sync)
  return realpath(dataDir)
}

async function hasCluster(dataDir: string, major: string): Promise<boolean> {
  const files = await readdir(dataDir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return []
    throw error
  })
  if (files.length === 0) return false
  if (!files.includes('PG_VERSION') || !files.includes(passwordFile)) {
    throw new EmbeddedPostgresError(`${dataDir} holds other files, not our database: move them away and start again.`)
  }
  const version = (await readFile(join(dataDir, 'PG_VERSION'), 'utf8')).trim()
  if (version === major) return true
  throw new EmbeddedPostgresError(
    `${dataDir} was written by PostgreSQL ${version} and this program brings ${major}: move the folder away to start empty, or set DATABASE_URL to a PostgreSQL ${version} that serves it.`,
  )
}

// The folder appears under its name in one step, complete: an interrupted start leaves only a sibling, which the next
// start deletes once the process in its name is gone.
async function createCluster(dataDir: string, binaries: Binaries, sync: boolean): Promise<void> {
  const parent = dirname(dataDir)
  await mkdir(parent, { recursive: true })
  await deleteInterrupted(parent, `${basename(dataDir)}.new-`)
  const draft = `${dataDir}.new-${process.pid}-${randomBytes(4).toString('hex')}`
  try {
    const cluster = join(draft, 'cluster')
    const password = join(draft, passwordFile)
    await mkdir(draft, { mode: 0o700 })
    await writeFile(password, randomBytes(24).toString('hex'), { mode: 0o600, flush: sync })
    if (binaries.owner) {
      for (const path of [draft, password]) await chown(path, binaries.owner.uid, binaries.owner.gid)
    }
    await initdb(cluster, password, dataDir, binaries, sync)
    await rename(password, join(cluster, passwordFile))
    if (sync) await syncFolder(cluster)
    await rename(cluster, dataDir)
    if (sync) await syncFolder(parent)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Another process that started at the same moment made it first.
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

async function initdb(cluster: string, password: string, dataDir: string, binaries: Binaries, sync: boolean) {
  const command = [binaries.initdb, '-D', cluster, `--pwfile=${password}`, '--username=postgres']
  command.push('--auth=scram-sha-256', '--encoding=UTF8', '--locale-provider=builtin', '--locale=C.UTF-8')
  if (!sync) command.push('--no-sync')
  // It looks at other signals only between its steps; what it leaves is a draft that the next start deletes.
  const { child, exited } = spawnGuarded(binaries, command, { output: 'pipe', signal: 'KILL' })
  child.stdout?.resume()
  const [stderr, code] = await Promise.all([child.stderr ? text(child.stderr) : '', exited])
  if (code !== 0) throw explainOutput(stderr, dataDir)
}

/** Deletes the folders `<prefix><process id>…` of processes that are gone, and leaves those of other users alone. */
export async function deleteInterrupted(parent: string, prefix: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : 0
    if (!pid || isAlive(pid)) continue
    await rm(join(parent, name), { recursive: true, force: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EACCES' && error.code !== 'EPERM') throw error
    })
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  await folder.sync()
  await folder.close()
}

/** Whether a process with this id exists, whoever owns it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
