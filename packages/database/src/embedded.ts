import { open, rename, stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type Binaries, findBinaries } from './embedded/binaries.ts'
import { prepareDataFolder, readPassword } from './embedded/data-folder.ts'
import { EmbeddedPostgresError, explainOutput, explainSystemError } from './embedded/error.ts'
import { type GuardedProcess, spawnGuarded } from './embedded/guarded-process.ts'
import { alreadyServed, claimFolder, databaseUrl, readPostmaster, runOnce } from './embedded/postmaster.ts'

export { EmbeddedPostgresError, explainSystemError } from './embedded/error.ts'
export { findRunning } from './embedded/postmaster.ts'

export interface EmbeddedPostgresOptions {
  /** Folder of the cluster, made on first use. Its parent must be writable. */
  dataDir: string
  /**
   * For tests only: false turns fsync and full_page_writes off, `configured` leaves them to ALTER SYSTEM. Else they are
   * on. synchronous_commit is on unless it is configured.
   */
  durable?: boolean | 'configured'
  /** Loopback port; default: a free one. */
  port?: number
  /** For tests: the server ends at once, and its folder is deleted when it was asked to end. */
  disposable?: boolean
}

export interface EmbeddedPostgres {
  /** Superuser's address of the database `orders`. */
  url: string
  /** Settles when the server has ended, asked or not; never rejects. */
  exited: Promise<void>
  /** Ends the server and waits until it is gone: 4 s at most, plus an immediate shutdown. */
  stop(): Promise<void>
  /** Lets this process exit while the server runs; the server ends with it. */
  unref(): void
}

const readyMs = 120_000
const bindAttempts = 5
const maxLogBytes = 10_000_000

/**
 * Starts PostgreSQL on a folder and answers once its database `orders` accepts connections. The server listens on
 * loopback only and ends with this process, however that ends. Throws EmbeddedPostgresError with one sentence.
 */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const folder = resolve(options.dataDir)
  try {
    const binaries = await findBinaries(folder)
    const dataDir = await prepareDataFolder(folder, binaries, !options.disposable)
    await claimFolder(dataDir)
    return await startServer(binaries, { ...options, dataDir })
  } catch (error) {
    throw explainSystemError(error, folder)
  }
}

async function startServer(binaries: Binaries, options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { dataDir } = options
  const password = await readPassword(dataDir)
  const logFile = join(dataDir, 'postgres.log')
  for (let attempt = 1; ; attempt++) {
    const port = options.port ?? (await freePort())
    const log = await openLog(logFile, binaries)
    const start = (await log.stat()).size
    const server = spawnGuarded(binaries, [binaries.postgres, '-D', dataDir, ...settings(port, options)], {
      output: log.fd,
      ...(options.disposable ? { signal: 'QUIT', remove: dataDir } : {}),
    })
    try {
      if (await becameReady(server, password, port)) {
        return {
          url: databaseUrl(password, port),
          exited: server.exited.then(() => {}),
          stop: server.stop,
          unref: server.unref,
        }
      }
      const output = await readFrom(log, start)
      // Between finding a free port and binding it another program may take it.
      if (/Address already in use/.test(output) && !options.port && attempt < bindAttempts) continue
      if (/lock file .* already exists|shared memory block .* still in use/.test(output)) {
        throw alreadyServed(dataDir, (await readPostmaster(dataDir))?.pid)
      }
      throw explainOutput(output, dataDir, logFile)
    } catch (error) {
      await server.stop()
      throw error
    } finally {
      await log.close()
    }
  }
}

function settings(port: number, { durable = true, disposable = false }: EmbeddedPostgresOptions): string[] {
  const disk = durable ? 'on' : 'off'
  const durability = { fsync: disk, full_page_writes: disk, synchronous_commit: 'on' }
  return Object.entries({
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    max_connections: 200,
    ...(durable === 'configured' ? {} : durability),
    // Inside the folder, so that it goes with it even after kill -9.
    ...(disposable ? { dynamic_shared_memory_type: 'mmap' } : {}),
    client_connection_check_interval: '5s',
    tcp_user_timeout: '10s',
    jit: 'off',
    timezone: 'UTC',
    // Its one login is the superuser of a server that only this machine reaches: see assertServable.
    'orders.embedded': 'on',
    log_timezone: 'UTC',
    log_line_prefix: '%m [%p] %d ',
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

async function becameReady(server: GuardedProcess, password: string, port: number): Promise<boolean> {
  const deadline = performance.now() + readyMs
  while (server.running()) {
    try {
      await runOnce(databaseUrl(password, port), 'select')
      return true
    } catch (error) {
      const unknownDatabase = (error as { code?: string }).code === '3D000'
      if (unknownDatabase) await runOnce(databaseUrl(password, port, 'postgres'), 'create database orders')
      else await delay(15)
    }
    if (performance.now() > deadline)
      throw new EmbeddedPostgresError(
        `PostgreSQL took over ${readyMs / 1000} s to start: see its log in the data folder.`,
      )
  }
  return false
}

async function openLog(path: string, { owner }: Binaries) {
  const { size } = await stat(path).catch(() => ({ size: 0 }))
  if (size > maxLogBytes) await rename(path, `${path}.old`)
  const log = await open(path, 'a+', 0o600)
  if (owner) await log.chown(owner.uid, owner.gid)
  return log
}

async function readFrom(log: Awaited<ReturnType<typeof open>>, start: number): Promise<string> {
  const { size } = await log.stat()
  const { buffer } = await log.read({ buffer: Buffer.alloc(size - start), position: start })
  return buffer.toString('utf8')
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
