import { execFile } from 'node:child_process'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import { isAlive, readPassword } from './data-folder.ts'
import { EmbeddedPostgresError } from './error.ts'

const shutdownMs = 10_000
// A server whose starter was killed still answers until its watchdog has learnt of it.
const answeringMs = 2000

/** The address of a database of the cluster that listens on `port`. */
export function databaseUrl(password: string, port: number, database = 'orders'): string {
  return `postgres://postgres:${password}@127.0.0.1:${port}/${database}`
}

/** Process and port written in the folder's postmaster.pid, or null. The server may be gone. */
export async function readPostmaster(dataDir: string): Promise<{ pid: number; port: number } | null> {
  const lines = await readFile(join(dataDir, 'postmaster.pid'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const [pid, , , port] = lines.split('\n').map(Number)
  return pid ? { pid, port: port ?? 0 } : null
}

/** Runs one statement on a connection of its own; rejects with the driver's error. */
export async function runOnce(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 2000, query_timeout: 30_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query(sql)
  } finally {
    await client.end().catch(() => {})
  }
}

/** The address of the database `orders` of a server that runs on `dataDir` and answers, or null. */
export async function findRunning(dataDir: string): Promise<string | null> {
  const postmaster = await readPostmaster(dataDir)
  if (!postmaster?.port || !isAlive(postmaster.pid)) return null
  const url = databaseUrl(await readPassword(dataDir), postmaster.port)
  return runOnce(url, 'select').then(
    () => url,
    () => null,
  )
}

/**
 * Makes sure that no server runs on `dataDir`: waits for one that is stopping, forgets one that is gone.
 * Throws EmbeddedPostgresError if one is there to stay.
 */
export async function claimFolder(dataDir: string): Promise<void> {
  const began = performance.now()
  for (;;) {
    const postmaster = await readPostmaster(dataDir)
    if (!postmaster || !isAlive(postmaster.pid)) return
    // After a reboot the number may belong to another program, which PostgreSQL itself would take for a server.
    if (!(await commandOf(postmaster.pid)).includes('postgres'))
      return rm(join(dataDir, 'postmaster.pid'), { force: true })
    const patienceMs = (await findRunning(dataDir)) ? answeringMs : shutdownMs
    if (performance.now() - began > patienceMs) throw alreadyServed(dataDir, postmaster.pid)
    await delay(50)
  }
}

export function alreadyServed(dataDir: string, pid: number | undefined): EmbeddedPostgresError {
  const process = pid ? ` (process ${pid})` : ''
  return new EmbeddedPostgresError(
    `Another PostgreSQL${process} already serves ${dataDir}: use the one that runs, or end it and start again.`,
  )
}

/** The command line of a process, empty when it is gone or a zombie. */
export async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  const ps = promisify(execFile)('ps', ['-p', String(pid), '-o', 'command='])
  return ps.then((result) => result.stdout).catch(() => '')
}
