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
const server = join(repository, 'apps/orders-api/src/server.ts')

/** The settings that the service reads, as its --help tells them. */
export async function readSettings(): Promise<Setting[]> {
  return settingsOf(
    await execute('The service does not tell its settings: see what it says.', process.execPath, [server, '--help']),
  )
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

/** What /metrics of the service holds after an order was placed, read, listed and refused: a real one, on PostgreSQL. */
export async function scrapeService(): Promise<string> {
  const dataDir = await mkdtemp(join(tmpdir(), 'orders-metrics-'))
  const database = await startEmbeddedPostgres({ dataDir })
  try {
    const migrate = [join(repository, 'packages/database/src/migrate-cli.ts')]
    await execute('The database was not migrated.', process.execPath, migrate, { DATABASE_URL: database.url })
    return await withService(database.url, useService)
  } finally {
    await database.stop()
    await rm(dataDir, { recursive: true, force: true })
  }
}

async function withService<T>(DATABASE_URL: string, use: (address: string) => Promise<T>): Promise<T> {
  // Nothing of the caller's environment may move /metrics or limit what is asked here.
  const settings = { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', DRAIN_DELAY_MS: '0' }
  const child = spawn(process.execPath, [server], {
    env: { ...settings, DATABASE_URL },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  try {
    const first = once(createInterface(child.stdout), 'line')
    const [line] = await Promise.race([first, exited.then(([code]) => [`it ended with ${code}`])])
    const [, address] = /(https?:\/\/\S+)$/.exec(String(line)) ?? []
    if (address === undefined) throw new Error(`The service did not start: ${line}`)
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
