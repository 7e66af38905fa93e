import { setTimeout as delay } from 'node:timers/promises'
import { connectionOptions, openDatabase } from '@orders/database'
import { createScratchDatabase, newOrganisation } from '@orders/database/testing'
import { createOrders, type Verb } from '@orders/orders'
import pg from 'pg'
import type { Test } from './rabbitmq.ts'

/** Orders on a database of the test's own, and a look behind them; `on` another cluster than the tests'. */
export async function startService(t: Test & { name: string }, on?: { url: string }) {
  const { url } = on ?? (await createScratchDatabase(t))
  const pool = new pg.Pool(connectionOptions(url, { max: 10 }))
  const admin = new pg.Client({ connectionString: url })
  admin.on('error', () => {})
  await admin.connect()
  const orders = await createOrders({
    database: openDatabase(pool, () => {}),
    defaultCurrency: 'EUR',
    answerFor: (order, created) => ({ status: created ? 201 : 200, headers: {}, body: JSON.stringify(order) }),
    onBatch: () => {},
    onEvents: () => {},
  })
  t.teardown(async () => {
    await orders.idle()
    await pool.end()
    await admin.end().catch(() => {})
  })
  const orgs = await Promise.all([newOrganisation(url), newOrganisation(url)])
  /** Places an order a number, in two organisations by turns. */
  const place = (numbers: number[]) =>
    Promise.all(numbers.map((n) => orders.placeOrder(orgs[n % 2] as string, { id: `order-${n}`, amount: 1 })))
  /** Changes them all, as many at a time as there are connections. */
  const change = async (verb: Verb, numbers: number[]) => {
    const left = [...numbers]
    const work = async () => {
      for (let n = left.shift(); n !== undefined; n = left.shift()) {
        await orders.changeStatus(orgs[n % 2] as string, `order-${n}`, verb)
      }
    }
    await Promise.all(range(0, 8).map(work))
  }
  const count = async (sql: string): Promise<number> =>
    Number((await admin.query(`SELECT count(*) ${sql}`)).rows[0].count)
  return {
    url,
    admin,
    orders,
    orgs,
    place,
    change,
    count,
    /** How many events wait in the database. */
    backlog: () => count('FROM (SELECT unnest(order_ids) FROM outbox UNION ALL SELECT order_id FROM event_queue)'),
    confirmed: () => count("FROM orders WHERE status = 'confirmed'"),
  }
}

export type Service = Awaited<ReturnType<typeof startService>>

export const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

/** Waits until `condition` holds; rejects when it does not in time. */
export async function until(condition: () => Promise<boolean> | boolean, seconds = 60): Promise<void> {
  for (const giveUpAt = Date.now() + seconds * 1000; !(await condition()); ) {
    if (Date.now() > giveUpAt) throw new Error(`not within ${seconds} s: ${condition}`)
    await delay(20)
  }
}
