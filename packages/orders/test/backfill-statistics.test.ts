import { connectDatabase } from '@orders/database'
import { findStatisticsDifferences, newOrganisation } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { createStatisticsBackfill } from '../src/backfill-statistics.ts'
import { createStatistics } from '../src/fold-statistics.ts'
import { connect, rowsOf, startOrders } from './service.ts'

const range = { from: '2020-01-01T06:00:00Z', to: '2020-01-20T06:00:00Z', now: 0 }
const rawStatistics = `SELECT (created_at AT TIME ZONE 'UTC')::date::text AS day, currency, status, count(*)::int AS count,
    trim_scale(sum(amount))::text AS sum
  FROM orders WHERE org_id = $1 AND created_at >= $2 AND created_at < $3 GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`

/** Orders of two organisations from before the triggers. */
async function startWithOldOrders(t: Test) {
  const service = await startOrders(t)
  const { url, org } = service
  const admin = await connect(t, url)
  const other = await newOrganisation(url)
  await admin.query("SET session_replication_role = 'replica'")
  await admin.query(
    `INSERT INTO orders (org_id, id, amount, currency, created_at)
    SELECT o, 'old-' || n, n, 'EUR', timestamptz '2020-01-01T00:00:00Z' + n * interval '1 hour'
    FROM generate_series(1, 1000) n, unnest($1::uuid[]) o`,
    [[org, other]],
  )
  await admin.query('RESET session_replication_role; UPDATE order_statistics_backfill SET completed = false')
  const open = (unlimited: boolean) => {
    const { database, close } = connectDatabase(url, { max: 2, role: 'orders_worker', unlimited, onError: () => {} })
    t.teardown(close)
    return database
  }
  const isCompleted = async () => (await rowsOf(admin, 'SELECT completed FROM order_statistics_backfill'))[0].completed
  const newBackfill = () => createStatisticsBackfill(open(true))
  return { ...service, admin, other, newBackfill, statistics: createStatistics(open(false)), isCompleted }
}

t.test('until old orders are counted, statistics are read from orders', async (t) => {
  const { orders, org, admin, newBackfill, statistics, isCompleted } = await startWithOldOrders(t)
  await orders.changeStatus(org, 'old-10', 'confirm')
  await orders.placeOrder(org, { amount: 1 })
  await statistics.fold()
  const expected = await rowsOf(admin, rawStatistics, [org, range.from, range.to])
  t.ok(expected.length > 15)
  t.not((await findStatisticsDifferences(admin)).length, 0, 'control: the rollup lacks them')

  const backfill = newBackfill()
  t.strictSame(JSON.parse(await orders.orderStats(org, range)), expected, 'before')
  t.equal(await backfill(), 1)
  t.strictSame(JSON.parse(await orders.orderStats(org, range)), expected, 'after one of two organisations')
  while ((await backfill()) > 0);

  t.equal(await isCompleted(), true)
  t.strictSame(await findStatisticsDifferences(admin), [])
  t.strictSame(JSON.parse(await orders.orderStats(org, range)), expected, 'after both')
  await rowsOf(admin, 'TRUNCATE order_statistics, order_statistics_changes')
  const between = { ...range, from: '2020-01-02T00:00:00Z', to: '2020-01-03T00:00:00Z' }
  t.equal(await orders.orderStats(org, between), '[]')
})

t.test('old orders are counted exactly beside writers, folding and another worker', async (t) => {
  const { orders, org, other, admin, newBackfill, statistics, isCompleted } = await startWithOldOrders(t)
  let writing = true
  const write = async (orgId: string) => {
    for (let i = 1; writing; i++) {
      await orders.placeOrder(orgId, { id: `new-${i}`, amount: i })
      if (i < 1000) await orders.changeStatus(orgId, `old-${i}`, 'confirm')
      await admin.query('DELETE FROM orders WHERE org_id = $1 AND id = $2', [orgId, `old-${1000 - i}`])
    }
  }
  const fold = async () => {
    while (writing) await statistics.fold(5)
  }
  const writers = Promise.all([write(org), write(other), fold()])

  const [first, second] = [newBackfill(), newBackfill()]
  while (!(await isCompleted())) await Promise.all([first(), second()])

  t.strictSame(await findStatisticsDifferences(admin), [])
  writing = false
  await writers
  t.strictSame(await findStatisticsDifferences(admin), [])
})

t.test('orders whose organisation is gone stop nothing', async (t) => {
  const { admin, newBackfill, isCompleted } = await startWithOldOrders(t)
  const gone = '00000000-0000-7000-8000-000000000001'
  await admin.query(`SET session_replication_role = 'replica';
    INSERT INTO orders (org_id, id, amount, currency) VALUES ('${gone}', 'old', 1, 'EUR'); RESET session_replication_role`)

  const backfill = newBackfill()
  while ((await backfill()) > 0);

  t.equal(await isCompleted(), true)
  t.match(await findStatisticsDifferences(admin), [{ org_id: gone }], 'these alone are not counted')
})
