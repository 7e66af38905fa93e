import { randomUUID } from 'node:crypto'
import { connectDatabase } from '@orders/database'
import { findStatisticsDifferences, newOrganisation } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { createStatistics } from '../src/fold-statistics.ts'
import { splitRange } from '../src/statistics-range.ts'
import { connect, rowsOf, startOrders } from './service.ts'

type Service = Awaited<ReturnType<typeof startOrders>>

const seed = Date.now() % 1e9
t.comment(`seed ${seed}`)
const now = Date.parse('2026-01-05T12:00:00Z')
const tables = ['order_statistics', 'order_statistics_changes']

/** Orders with given times, which the service itself takes from the clock. */
const insert = ({ admin, org }: Service, rows: Record<string, unknown>[]) =>
  admin.query(
    `INSERT INTO orders (org_id, id, amount, currency, status, created_at)
    SELECT $1, id, amount, coalesce(currency, 'EUR'), coalesce(status, 'placed'), created_at
    FROM jsonb_to_recordset($2) AS row (id text, amount numeric, currency text, status text, created_at timestamptz)`,
    [org, JSON.stringify(rows)],
  )

function startStatistics(t: Test, { url }: Service) {
  const { database, close } = connectDatabase(url, { max: 1, role: 'orders_worker', onError: () => {} })
  t.teardown(close)
  return createStatistics(database)
}

async function foldAll({ fold, backlog }: ReturnType<typeof createStatistics>) {
  while ((await backlog()) > 0) await fold(7)
}

/** mulberry32 */
function randomNumbers(from: number): (below: number) => number {
  let state = from | 0
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

t.test('statistics count and add exactly, per UTC day, currency and status', async (t) => {
  const service = await startOrders(t)
  const { orders, org } = service
  await insert(service, [
    { id: 'a', amount: 0.1, created_at: '2026-01-01T23:59:59.999Z' },
    { id: 'b', amount: 0.2, created_at: '2026-01-01T00:00:00Z' },
    { id: 'c', amount: '999999999999999', created_at: '2026-01-02T00:00:00Z' },
    { id: 'd', amount: '999999999999999', created_at: '2026-01-02T01:00:00+02:00' },
    { id: 'e', amount: 5, currency: 'JPY', created_at: '2026-01-02T12:00:00Z', status: 'cancelled' },
    { id: 'f', amount: 7, created_at: '2026-01-03T00:00:00Z' },
  ])
  const range = { from: '2026-01-01T00:00:00Z', to: '2026-01-03T00:00:00Z', now }
  const expected = [
    { day: '2026-01-01', currency: 'EUR', status: 'placed', count: 3, sum: '999999999999999.3' },
    { day: '2026-01-02', currency: 'EUR', status: 'placed', count: 1, sum: '999999999999999' },
    { day: '2026-01-02', currency: 'JPY', status: 'cancelled', count: 1, sum: '5' },
  ]
  t.strictSame(JSON.parse(await orders.orderStats(org, range)), expected, 'while no worker runs')
  await foldAll(startStatistics(t, service))
  t.strictSame(JSON.parse(await orders.orderStats(org, range)), expected, 'when they are folded')
  t.strictSame(JSON.parse(await orders.orderStats(randomUUID(), range)), [])
  await insert(service, [{ id: 'g', amount: 1, currency: '","', created_at: '2026-01-01T00:00:00Z' }])
  t.match(JSON.parse(await orders.orderStats(org, range)), [{ currency: '","' }], 'any text that the table takes')
})

t.test('any range has the sums of its orders', async (t) => {
  const service = await startOrders(t)
  const { orders, org, admin } = service
  const random = randomNumbers(seed)
  const instant = () => new Date(Date.parse('2026-01-01T00:00:00Z') + random(5 * 24 * 4) * 900_000).toISOString()
  await insert(
    service,
    Array.from({ length: 300 }, (_, i) => ({ id: `o-${i}`, amount: (1 + random(1000)) / 100, created_at: instant() })),
  )
  const { fold } = startStatistics(t, service)
  await fold(40)
  for (let i = 0; i < 150; i++) {
    const [from = '', to = ''] = [instant(), instant()].sort()
    const expected = await rowsOf(
      admin,
      `SELECT (created_at AT TIME ZONE 'UTC')::date::text AS day, currency, status, count(*)::int AS count,
        trim_scale(sum(amount))::text AS sum
      FROM orders WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`,
      [org, from, to],
    )
    const found = JSON.parse(await orders.orderStats(org, { from, to, now: Date.parse(instant()) }))
    if (JSON.stringify(found) !== JSON.stringify(expected)) t.strictSame(found, expected, `[${from}, ${to})`)
  }
  t.not(splitRange('2026-01-01T06:00:00Z', '2026-01-03T18:00:00Z', now).parts.length, 0, 'ranges have parts of days')
})

t.test('statistics equal the orders at every look, beside writers and folding', async (t) => {
  const service = await startOrders(t)
  const { orders, org, url } = service
  const [admin, looker, other] = [await connect(t, url), await connect(t, url), await newOrganisation(url)]
  const statistics = startStatistics(t, service)
  let writing = true

  /** What one client does, in a random order. */
  async function write(client: number): Promise<void> {
    const random = randomNumbers(seed + client)
    for (let i = 0; i < 60; i++) {
      const id = `${client}-${i}`
      const old = `${client}-${random(i + 1)}`
      const status = random(2) === 0 ? 'confirm' : 'cancel'
      await [
        () => orders.placeOrder(random(2) === 0 ? org : other, { id, amount: random(9) + 1, metadata: { a: id } }),
        () => orders.changeStatus(org, old, status),
        () => orders.editOrder(org, old, { metadata: { b: 'x'.repeat(random(9)) }, description: id }, () => true),
        () => admin.query('UPDATE orders SET amount = amount + 1 WHERE id = $1', [old]),
        () => admin.query('DELETE FROM orders WHERE id = $1', [old]),
        async () => {
          const lines = Array.from({ length: 5 }, (_, n) => ({
            line: n + 1,
            order: { id: `${id}-${n}`, amount: n + 1 },
          }))
          for await (const _ of orders.importOrders(other, groupsOf(lines)));
        },
      ]
        .at(random(6))?.()
        .catch((error: Error & { code?: string }) => {
          if (!/^(ORDER_NOT_FOUND|ILLEGAL_TRANSITION)$/.test(error.code ?? '')) throw error
        })
    }
  }

  const looking = (async () => {
    let looks = 0
    for (; writing || looks === 0; looks++) {
      const differences = await findStatisticsDifferences(looker)
      if (differences.length > 0) t.strictSame(differences, [], `look ${looks}`)
    }
    return looks
  })()
  const folding = (async () => {
    while (writing) await statistics.fold(3)
  })()
  await Promise.all([1, 2, 3, 4, 5, 6].map(write)).finally(() => {
    writing = false
  })
  t.comment(`${await looking} looks`)
  await folding
  await foldAll(statistics)

  t.strictSame(await findStatisticsDifferences(looker), [])
  t.not((await rowsOf(looker, 'SELECT FROM order_statistics')).length, 0)

  t.comment('control: a writer that the triggers do not see is found')
  await looker.query("SET session_replication_role = 'replica'")
  await insert({ ...service, admin: looker }, [{ id: 'unseen', amount: 1, created_at: '2020-01-01T00:00:00Z' }])
  t.match(await findStatisticsDifferences(looker), [{ side: 'orders', orders: '1' }])
})

async function* groupsOf<T>(...groups: T[][]) {
  yield* groups
}

t.test('an organisation whose orders are deleted leaves no statistics', async (t) => {
  const service = await startOrders(t)
  const { orders, org, admin } = service
  const statistics = startStatistics(t, service)
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  await foldAll(statistics)
  await orders.changeStatus(org, 'a', 'confirm')
  await admin.query('DELETE FROM orders WHERE org_id = $1', [org])

  await foldAll(statistics)

  for (const table of tables) t.strictSame(await rowsOf(admin, `SELECT FROM ${table}`), [], table)
})

t.test('an organisation reads and writes only its own statistics', async (t) => {
  const { orders, org, admin, database, url } = await startOrders(t)
  const other = await newOrganisation(url)
  await orders.placeOrder(org, { amount: 1 })
  const [statistics] = await rowsOf(admin, 'SELECT * FROM order_statistics_changes')
  await admin.query(
    'INSERT INTO order_statistics SELECT org_id, day, currency, status, 1, 1, 1 FROM order_statistics_changes',
  )
  const run = (orgId: string, text: string) =>
    database.runInTenant(orgId, { name: `test ${text}`.slice(0, 60), text, values: [] })
  const add = `INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes)
    VALUES ('${other}', now(), 'EUR', 'placed', 1, 1, 0)`

  for (const table of tables) {
    t.equal((await run(org, `SELECT 1 FROM ${table}`)).length, 1, `${table} of its own`)
    t.equal((await run(other, `SELECT 1 FROM ${table}`)).length, 0, `${table} of another organisation`)
    await t.rejects(run(org, `DELETE FROM ${table}`), { code: '42501' })
    await t.rejects(run(org, `UPDATE ${table} SET orders = 0`), { code: '42501' })
  }
  await t.rejects(run(org, add), { code: '42501' }, 'no change of another organisation')
  t.match(statistics, { org_id: org })
})
