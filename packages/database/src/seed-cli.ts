import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { runCommand } from './command.ts'
import { openCommandDatabase, readContextKey } from './command-database.ts'
import { connectionOptions } from './connection.ts'
import { openDatabase } from './database.ts'
import { migrateToLatest } from './migrate.ts'
import { seedDatabase } from './seed.ts'
import { createProgress } from './seed-progress.ts'
import { assertSchema } from './servable.ts'
import { defaultOrgId } from './tables.ts'

await runCommand(async () => {
  const { count, seed } = readArguments()
  const local = !process.env.DATABASE_URL && !process.env.DATABASE_URL_FILE
  const contextKey = await readContextKey(process.env)
  const { url, close } = await openCommandDatabase(process.env)
  try {
    if (local) await migrateToLatest(url, { contextKey })
    await addOrders(connectionOptions(url, { max: 2, contextKey }), count, seed)
  } finally {
    await close()
  }
})

async function addOrders(options: pg.PoolConfig, count: number, seed: number): Promise<void> {
  const pool = new pg.Pool(options)
  const database = openDatabase(pool, () => {})
  const started = performance.now()
  try {
    await assertSchema(database)
    const progress = createProgress(process.stdout, count)
    await seedDatabase(database, defaultOrgId, { count, seed, onProgress: progress })
  } finally {
    await pool.end()
  }
  const seconds = (performance.now() - started) / 1000
  console.log(
    `Added ${count} orders in ${seconds.toFixed(1)} s (${Math.round(count / seconds)} a second, --random-seed ${seed}).`,
  )
}

function readArguments(): { count: number; seed: number } {
  const { count = '1000', 'random-seed': seed = String(randomInt(2 ** 31)) } = parse()
  return { count: whole('--count', count, 100_000_000), seed: whole('--random-seed', seed, 2 ** 32 - 1) }
}

function parse() {
  try {
    return parseArgs({ options: { count: { type: 'string' }, 'random-seed': { type: 'string' } } }).values
  } catch {
    throw new Error('Unknown argument: use --count N, and --random-seed N for the same orders again.')
  }
}

function whole(name: string, text: string, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : 0
  if (value < 1 || value > max) throw new Error(`${name} takes a whole number from 1 to ${max}, not ${text}.`)
  return value
}
