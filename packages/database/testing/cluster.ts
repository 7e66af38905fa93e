import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { deleteInterrupted } from '../src/embedded/data-folder.ts'
import { commandOf, readPostmaster } from '../src/embedded/postmaster.ts'
import { startEmbeddedPostgres } from '../src/embedded.ts'

const prefix = 'orders-test-'
const memory = '/dev/shm'
const memoryBytes = 2e9

export interface Cluster {
  /** Superuser's address of the database `orders`; the same after a restart. */
  url: string
  /** SIGKILL to the server and all its processes, as a power cut would; the data stays. */
  kill(): Promise<void>
  /** Fast shutdown, as an operator would; the data stays. */
  shutdown(): Promise<void>
  /**
   * Starts the server again on the same port; answers once it accepts connections. `durable` is as in ClusterOptions, and
   * that of the first start unless given.
   */
  restart(settings?: Pick<ClusterOptions, 'durable'>): Promise<void>
  /** Lets this process exit while the server runs. */
  unref(): void
  /** Ends the server and deletes its data. */
  remove(): Promise<void>
}

export interface ClusterOptions {
  /** False: fsync and full_page_writes off; `configured`: as ALTER SYSTEM says. Default true. */
  durable?: boolean | 'configured'
  /** Where memory can be used as a disk, keeps the data there: ten times as fast, under the settings of a disk. */
  inMemory?: boolean
}

/** Starts a cluster in a temporary folder. It ends, and its data goes, with this process, however that ends. */
export async function startCluster({ durable = true, inMemory = false }: ClusterOptions = {}): Promise<Cluster> {
  const parent = inMemory && (await hasMemory()) ? memory : tmpdir()
  // A test process that is killed while its server was down leaves the folder behind.
  await deleteInterrupted(parent, prefix)
  const dataDir = join(parent, `${prefix}${process.pid}-${randomBytes(4).toString('hex')}`)
  const start = (port?: number, settings = { durable }) =>
    startEmbeddedPostgres({ ...settings, dataDir, disposable: true, ...(port ? { port } : {}) })
  let server = await start()
  const { url } = server
  const end = async (signal: NodeJS.Signals) => {
    const pids = await serverProcesses(dataDir, signal === 'SIGKILL')
    for (const pid of signal === 'SIGKILL' ? pids : pids.slice(-1)) sendSignal(pid, signal)
    await server.exited
    // An orphan that waits for init to reap it has no command line any more.
    for (const pid of pids) while (await commandOf(pid)) await delay(5)
  }
  return {
    url,
    kill: () => end('SIGKILL'),
    shutdown: () => end('SIGINT'),
    restart: async (settings) => {
      server = await start(Number(new URL(url).port), { durable, ...settings })
    },
    unref: () => server.unref(),
    remove: async () => {
      await server.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

// Children first and the postmaster last; it is held still meanwhile, or it would react to the death of a child.
async function serverProcesses(dataDir: string, hold: boolean): Promise<number[]> {
  const postmaster = await readPostmaster(dataDir)
  if (!postmaster) return []
  if (hold) sendSignal(postmaster.pid, 'SIGSTOP')
  return [...(await childrenOf(postmaster.pid)), postmaster.pid]
}

async function childrenOf(pid: number): Promise<number[]> {
  const list =
    process.platform === 'linux'
      ? await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
      : (await promisify(execFile)('pgrep', ['-P', String(pid)])).stdout
  return list.split(/\s+/).filter(Boolean).map(Number)
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

async function hasMemory(): Promise<boolean> {
  const disk = await statfs(memory).catch(() => null)
  return disk !== null && disk.bavail * disk.bsize > memoryBytes
}
