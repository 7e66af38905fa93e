import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { createCluster } from '@orders/database/testing'
import type { Client } from 'pg'
import t from 'tap'
import { keepAlive, send } from '../src/faults/http.ts'
import { serve, startWorker, type Test } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

const orders = Number(process.env.STATISTICS_ORDERS ?? 1_000_000)
const org = '00000000-0000-7000-8000-000000000000'
const days = 300
const maxMs = 50
const requests = 300
const dayMs = 86_400_000
const noonToNoon = 'from noon to noon'
const rebuild = join(import.meta.dirname, '../../../packages/database/src/rebuild-statistics-cli.ts')
t.setTimeout(3_600_000)

const percentile = (values: number[], part: number) =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1] as number

/** Orders of the last 300 days in 7 currencies and 4 statuses, from before the triggers that record statistics. */
async function insertOrders(admin: Client): Promise<void> {
  const atOnce = 200_000
  await admin.query("SET session_replication_role = 'replica'")
  for (let start = 0; start < orders; start += atOnce) {
    await admin.query(
      `INSERT INTO orders (org_id, id, amount, currency, status, metadata, created_at)
      SELECT '${org}', 'order-' || n, 1 + n % 9999,
        (ARRAY['EUR', 'USD', 'GBP', 'CHF', 'JPY', 'SEK', 'NOK'])[1 + n % 7],
        (ARRAY['placed', 'confirmed', 'completed', 'cancelled'])[1 + n / 7 % 4],
        '{"channel": "web"}', now() - (1 - n::float8 / $2::bigint) * interval '${days} days'
      FROM generate_series($1::bigint, least($1 + ${atOnce}, $2) - 1) n`,
      [start, orders],
    )
  }
  await admin.query('RESET session_replication_role')
  await admin.query('UPDATE order_statistics_backfill SET completed = false')
  await admin.query('VACUUM ANALYZE orders')
}

/** Waits until a worker has counted the orders, and folded what it counted. */
async function countOrders(t: Test, url: string, admin: Client): Promise<void> {
  const worker = startWorker({ DATABASE_URL: url })
  t.teardown(async () => {
    worker.kill('SIGKILL')
    await worker.exited
  })
  await whileFound(admin, 'SELECT FROM order_statistics_backfill WHERE NOT completed')
  await whileFound(admin, 'SELECT FROM order_statistics_changes LIMIT 1')
}

async function whileFound(admin: Client, text: string): Promise<void> {
  while ((await admin.query(text)).rowCount) await delay(20)
}

async function timed(t: Test & { comment(text: string): void }, name: string, work: () => Promise<unknown>) {
  const began = performance.now()
  await work()
  t.comment(`${name}: ${((performance.now() - began) / 1000).toFixed(1)} s`)
}

t.test(`statistics of ${days} days of ${orders} orders come within ${maxMs} ms`, async (t) => {
  const { url } = await createCluster(t)
  const admin = await connect(t, url)
  await timed(t, 'orders were inserted', () => insertOrders(admin))
  await timed(t, 'the worker counted them', () => countOrders(t, url, admin))
  await timed(t, 'the command compared them with their statistics', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [rebuild, '--check'], { env: { DATABASE_URL: url } })
    t.match(stdout, `equal (${orders} orders)`)
  })
  await timed(t, 'the orders were vacuumed, which would go on meanwhile', () =>
    admin.query('VACUUM ANALYZE').then(() => admin.query('CHECKPOINT')),
  )
  const service = await serve(t, { DATABASE_URL: url, RATE_LIMITS: 'off' })
  const agent = keepAlive()
  t.teardown(async () => agent.destroy())

  const now = Date.now()
  const today = Math.floor(now / dayMs) * dayMs
  for (const [range, from, to] of [
    ['whole days', today - (days - 1) * dayMs, today + dayMs],
    ['from a time of the day until now', now - days * dayMs, now],
    // Half a day of orders is read at each end, which the limit does not include.
    [noonToNoon, today - (days - 0.5) * dayMs, today - dayMs / 2],
  ] as const) {
    const query = `from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}`
    const times: number[] = []
    let bytes = 0
    for (let i = 0; i < requests; i++) {
      const started = performance.now()
      const { status, body } = await send(`${service.url}/api/v1/orders/stats?${query}`, { agent })
      const took = performance.now() - started
      times.push(took)
      await delay(took) // the organisation pauses after a scan for as long as that took
      bytes = body.length
      if (status !== 200) t.equal(status, 200, body)
    }
    const [p50, p99] = [percentile(times, 0.5), percentile(times, 0.99)]
    t.comment(`${range}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ${Math.round(bytes / 1000)} kB`)
    if (range !== noonToNoon) t.ok(p99 <= maxMs, `${range}: p99 ${p99.toFixed(1)} ms of at most ${maxMs} ms`)
  }
})
