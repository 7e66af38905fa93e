import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { connectionOptions, openDatabase } from '@orders/database'
import { createScratchDatabase, newOrganisation } from '@orders/database/testing'
import pg from 'pg'
import type { Claim } from '../src/index.ts'
import { createOrders } from '../src/orders.ts'

type Test = { name: string; teardown(fn: () => Promise<void>): void }

/** The use cases of orders on a database of their own, and a connection of its superuser to look behind them. */
export async function startOrders(t: Test, { max = 10 } = {}) {
  const { url, name } = await createScratchDatabase(t)
  return {
    ...(await openOrders(t, url, max)),
    url,
    name,
    org: await newOrganisation(url),
    admin: await connect(t, url),
  }
}

/** One more process' view of the same database. */
export async function openOrders(t: Test, url: string, max = 10) {
  // Requests wait for a connection, however busy the machine is.
  const pool = new pg.Pool({ ...connectionOptions(url, { max }), connectionTimeoutMillis: 20_000 })
  let idle = async () => {}
  t.teardown(async () => {
    await idle()
    await pool.end()
  })
  const database = openDatabase(pool, () => {})
  const batches: number[] = []
  const events: string[] = []
  const orders = await createOrders({
    database,
    defaultCurrency: 'EUR',
    answerFor: (order, created) => ({ status: created ? 201 : 200, headers: {}, body: JSON.stringify(order) }),
    onBatch: (size) => batches.push(size),
    onEvents: (type, count) => {
      for (let i = 0; i < count; i++) events.push(type)
    },
  })
  idle = orders.idle
  return { orders, database, batches, events }
}

export async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end().catch(() => {}))
  return client
}

export async function rowsOf(client: pg.Client, text: string, values: unknown[] = []) {
  const { rows } = await client.query(text, values)
  return rows
}

/** A use of an Idempotency-Key for a body. */
export function claimOf(key: string, body: unknown): Claim {
  const fingerprint = createHash('sha256').update(JSON.stringify(body)).digest()
  return { route: 'POST /orders', principal: 'someone', key, fingerprint }
}

/** What became of a request: its value, or its error's code, or else its message. */
export const outcomeOf = <T>(work: Promise<T>): Promise<T | string> =>
  work.catch((error: Error & { code?: string }) => error.code ?? error.message)

/** Waits until `condition` holds; rejects after 20 s. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const giveUpAt = Date.now() + 20_000; !(await condition()); ) {
    if (Date.now() > giveUpAt) throw new Error(`not within 20 s: ${condition}`)
    await delay(10)
  }
}
