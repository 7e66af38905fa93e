import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { startEmbeddedPostgres } from '@orders/database/embedded'
import type { Setting } from '../rules/rule.ts'
import { execute } from '../tools/cache.ts'

const repository = join(import.meta.dirname, '../../..')
const server = 'apps/orders-api/src/server.ts'
const worker = 'apps/orders-worker/src/worker.ts'

/** The settings that each process reads, by its program, as its --help tells them. */
export async function readSettings(): Promise<Record<string, Setting[]>> {
  const read = async (program: string) => {
    const args = [join(repository, program), '--help']
    return settingsOf(await execute(`${program} does not tell its settings: see what it says.`, process.execPath, args))
  }
  return { [server]: await read(server), [worker]: await read(worker) }
}

/** The settings in a help text. Throws an Error if there are none. */
export function settingsOf(help: string): Setting[] {
  const settings = [...help.matchAll(/^ {2}([A-Z][A-Z0-9_]*(?:, [A-Z0-9_]+)*) +(\S*)/gm)].flatMap(
    ([, names = '', value]) =>
      names.split(', ').map((name, index) => ({ name, required: index === 0 && value === 'required' })),
  )
  if (settings.length === 0) throw new Error('The help of the service names no setting: see what --help prints.')
  return settings
}

/** A process with these settings has the metrics of shared rate limits, and serves as without Redis. */
export const unreachableRedis = { RATE_LIMITS: 'on', REDIS_URL: 'redis://127.0.0.1:1', LOG_LEVEL: 'fatal' }

/**
 * What /metrics of the service holds after an order was placed, read, listed and refused, and /metrics of a worker: real
 * ones, on PostgreSQL.
 */
export async function scrapeService(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'orders-metrics-'))
  const database = await startEmbeddedPostgres({ dataDir })
  try {
    const migrate = [join(repository, 'packages/database/src/migrate-cli.ts')]
    await execute('The database was not migrated.', process.execPath, migrate, { DATABASE_URL: database.url })
    const settings = { HOST: '127.0.0.1', PORT: '0', DRAIN_DELAY_MS: '0', ...unreachableRedis }
    const told = await withProcess(server, { DATABASE_URL: database.url, ...settings }, useService)
    return `${told}\n${await scrapeWorker(database.url)}`
  } finally {
    await database.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** What /metrics of a worker holds on a database that is migrated. */
export function scrapeWorker(DATABASE_URL: string, more: Record<string, string> = {}): Promise<string> {
  const settings = { DATABASE_URL, ADMIN_PORT: '0', LOG_LEVEL: 'info', ...more }
  return withProcess(worker, settings, async (address) => (await fetch(new URL('/metrics', address))).text())
}

async function withProcess<T>(
  program: string,
  settings: Record<string, string>,
  use: (address: string) => Promise<T>,
): Promise<T> {
  const child = spawn(process.execPath, [join(repository, program)], {
    // Nothing of the caller's environment may move /metrics or limit what is asked here.
    env: { PATH: process.env.PATH, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  try {
    const first = once(createInterface(child.stdout), 'line')
    const [line] = await Promise.race([first, exited.then(([code]) => [`it ended with ${code}`])])
    const [address] = /https?:\/\/[^\s"]+/.exec(String(line)) ?? []
    if (address === undefined) throw new Error(`${program} did not start: ${line}`)
    return await use(address)
  } finally {
    child.kill('SIGTERM')
    await exited
  }
}

async function useService(address: string): Promise<string> {
  const headers = { 'content-type': 'application/json' }
  const post = (body: unknown) =>
    fetch(new URL('/api/v1/orders', address), { method: 'POST', headers, body: JSON.stringify(body) })
  const placed = await post({ id: 'metrics-1', amount: 1 })
  if (placed.status !== 201)
    throw new Error(`The service did not place an order: ${placed.status} ${await placed.text()}`)
  for (const path of ['/api/v1/orders', '/api/v1/orders/metrics-1', '/api/v1/orders/none', '/', '/livez']) {
    await (await fetch(new URL(path, address))).arrayBuffer()
  }
  await (await post({ amount: 'none' })).arrayBuffer()
  return await (await fetch(new URL('/metrics', address))).text()
}
