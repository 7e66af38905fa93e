import { createCluster } from '@orders/database/testing'
import t from 'tap'
import { type ImportItem, type ImportProgress, type OrderRow, OrdersError } from '../src/index.ts'
import { connect, openOrders, rowsOf, startOrders, until } from './service.ts'

const line = (line: number, id: string, amount = 5): ImportItem => ({ line, order: { id, amount } })

async function* given(...groups: ImportItem[][]) {
  yield* groups
}

async function all(steps: AsyncIterable<ImportProgress>) {
  const refused: string[] = []
  let last: ImportProgress | undefined
  for await (const step of steps) {
    refused.push(...step.refused.map(({ line, error }) => `${line} ${error}`))
    last = step
  }
  const { lines = 0, placed_count = 0, existing_count = 0, refused_count = 0 } = last ?? {}
  return { counts: [lines, placed_count, existing_count, refused_count], refused }
}

t.test('each line is placed, met or refused, and a second time only met', async (t) => {
  const { orders, org, admin, events } = await startOrders(t)
  const refusal = new OrdersError('VALIDATION_FAILED', 'not an order')
  const items: ImportItem[] = [line(2, 'a'), { line: 3, refusal }, line(4, 'b', 1.234), line(5, 'a'), line(6, 'a', 6)]
  const refused = ['3 VALIDATION_FAILED', '4 AMOUNT_INVALID', '6 ORDER_ID_TAKEN']
  t.strictSame(await all(orders.importOrders(org, given(items))), { counts: [5, 1, 1, 3], refused })
  t.strictSame(await all(orders.importOrders(org, given(items))), { counts: [5, 0, 2, 3], refused })
  t.strictSame(events, ['orders.order.placed.v1'])
  t.strictSame(await rowsOf(admin, 'SELECT sum(events)::int AS n FROM outbox'), [{ n: 1 }])
  t.strictSame(await all(orders.importOrders(org, given())), { counts: [0, 0, 0, 0], refused: [] })
})

t.test('of an id that stands in several groups the first line wins', async (t) => {
  const { orders, org } = await startOrders(t)
  const groups = [0, 1, 2, 3].map((g) => [
    line(g * 600 + 1, 'same', g + 1),
    ...Array.from({ length: 599 }, (_, i) => line(g * 600 + i + 2, `o-${g}-${i}`)),
  ])
  const { counts, refused } = await all(orders.importOrders(org, given(...groups)))
  t.strictSame(counts, [2400, 2397, 0, 3])
  t.strictSame(refused, ['601 ORDER_ID_TAKEN', '1201 ORDER_ID_TAKEN', '1801 ORDER_ID_TAKEN'])
  t.equal((await orders.getOrder(org, 'same')).amount, 1)
})

t.test('an order of an unknown project is refused the same way, whichever lines share its group', async (t) => {
  const { orders, org } = await startOrders(t)
  const project_id = '00000000-0000-7000-8000-00000000abcd'
  const withId = (id: string): ImportItem[] => [
    { line: 1, order: { id, amount: 1, project_id } },
    line(2, id),
    { line: 3, order: { id, amount: 1, project_id } },
  ]
  const apart = withId('apart').map((item) => [item, ...Array.from({ length: 499 }, () => line(9, 'filler'))])
  const found = [
    await all(orders.importOrders(org, given(withId('together')))),
    await all(orders.importOrders(org, given(...apart))),
  ]
  t.strictSame(
    found.map(({ refused }) => refused),
    Array(2).fill(['1 PROJECT_NOT_FOUND', '3 ORDER_ID_TAKEN']),
  )
})

t.test('a row that the database refuses does not fail its neighbours', async (t) => {
  const { orders, org, admin } = await startOrders(t)
  await rowsOf(admin, `ALTER TABLE orders ADD CHECK (id <> 'bad')`)
  const items = Array.from({ length: 50 }, (_, i) => line(i + 1, i === 20 ? 'bad' : `o-${i}`))
  t.strictSame(await all(orders.importOrders(org, given(items))), {
    counts: [50, 49, 0, 1],
    refused: ['21 VALIDATION_FAILED'],
  })
})

t.test('an id that another transaction holds is refused as in flight', async (t) => {
  const { orders, org, admin } = await startOrders(t)
  await rowsOf(admin, 'BEGIN')
  await rowsOf(admin, "INSERT INTO orders (org_id, id, amount, currency) VALUES ($1, 'held', 1, 'EUR')", [org])
  const result = await all(orders.importOrders(org, given([line(1, 'free'), line(2, 'held')])))
  t.strictSame(result, { counts: [2, 1, 0, 1], refused: ['2 IDEMPOTENCY_IN_FLIGHT'] })
  await rowsOf(admin, 'ROLLBACK')
})

t.test('what was read before the source failed is settled', async (t) => {
  const { orders, org } = await startOrders(t)
  async function* failing() {
    yield [line(1, 'a')]
    yield [line(2, 'b')]
    throw new OrdersError('REQUEST_TIMEOUT', 'late')
  }
  let through = 0
  const reading = async () => {
    for await (const step of orders.importOrders(org, failing())) through = step.through_line
  }
  await t.rejects(reading(), { code: 'REQUEST_TIMEOUT' })
  t.equal(through, 2)
  t.equal((await orders.getOrder(org, 'b')).id, 'b')
})

t.test('a database that dies and comes back loses no line and doubles none', async (t) => {
  const cluster = await createCluster(t)
  const { orders } = await openOrders(t, cluster.url)
  const org = '00000000-0000-7000-8000-000000000000'
  let restarted: Promise<void> | undefined
  async function* source() {
    for (let g = 0; g < 20; g++) {
      if (g === 8) {
        await cluster.kill()
        restarted = cluster.restart()
      }
      yield Array.from({ length: 500 }, (_, i) => line(g * 500 + i + 1, `o-${g}-${i}`))
    }
  }
  const { counts, refused } = await all(orders.importOrders(org, source()))
  await restarted
  t.equal(counts[0], 10_000)
  t.equal((counts[1] ?? 0) + (counts[2] ?? 0), 10_000)
  t.strictSame(refused, [])
  const admin = await connect(t, cluster.url)
  t.strictSame(await rowsOf(admin, 'SELECT count(*)::int AS n FROM order_events'), [{ n: 10_000 }])

  await cluster.kill()
  await t.rejects(all(orders.importOrders(org, given([line(1, 'late')]))), { code: 'ECONNREFUSED' })
  await cluster.restart()
})

t.test('an export is one snapshot, newest first, whatever is placed meanwhile', async (t) => {
  const { orders, org } = await startOrders(t)
  await all(orders.importOrders(org, given(Array.from({ length: 2500 }, (_, i) => line(i + 1, `o-${i}`)))))
  const rows: OrderRow[] = []
  const sizes: number[] = []
  await orders.exportOrders(org, {}, async (group) => {
    if (rows.length === 0) await orders.placeOrder(org, { id: 'meanwhile', amount: 1 })
    sizes.push(group.length)
    rows.push(...group)
  })
  t.strictSame(sizes, [10, ...Array(24).fill(100), 90], 'a hundred small orders at a time')
  t.notOk(rows.some(({ id }) => id === 'meanwhile'))
  const positions = rows.map(({ created_at, id }) => `${created_at} ${id}`)
  t.strictSame(positions, [...positions].sort().reverse())

  const found: string[] = []
  await orders.exportOrders(org, { q: 'mean' }, async (group) => void found.push(...group.map(({ id }) => id)))
  t.strictSame(found, ['meanwhile'])
})

t.test('an export reads ten large orders at a time', async (t) => {
  const { orders, org } = await startOrders(t)
  const metadata = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`k${i}`, 'x'.repeat(400)]))
  for (let i = 0; i < 25; i++) await orders.placeOrder(org, { id: `large-${i}`, amount: 1, metadata })
  const sizes: number[] = []
  await orders.exportOrders(org, {}, async (group) => void sizes.push(group.length))
  t.strictSame(sizes, [10, 10, 5])
})

t.test(
  'three exports run at a time on a pool of ten, and one whose reader fails gives its connection back',
  async (t) => {
    const { orders, org, database } = await startOrders(t)
    const gate = Promise.withResolvers<void>()
    let open = 0
    const waiting = [1, 2, 3].map(() =>
      orders.exportOrders(org, {}, async () => {
        open++
        await gate.promise
      }),
    )
    await until(() => open === 3)
    await t.rejects(
      orders.exportOrders(org, {}, async () => {}),
      { code: 'OVERLOADED' },
    )
    gate.reject(new Error('the reader is gone'))
    for (const result of await Promise.allSettled(waiting)) t.equal(result.status, 'rejected')
    await until(() => database.poolState().idle === database.poolState().total)
    await orders.exportOrders(org, {}, async (rows) => void t.strictSame(rows, []))
  },
)

t.test('an import leaves connections to requests for single orders', async (t) => {
  const { orders, org } = await startOrders(t, { max: 3 })
  const groups = Array.from({ length: 10 }, (_, g) => Array.from({ length: 500 }, (_, i) => line(i, `o-${g}-${i}`)))
  const imports = [1, 2, 3].map(() => all(orders.importOrders(org, given(...groups))))
  const placed = await orders.placeOrder(org, { id: 'single', amount: 1 })
  t.equal(placed.replayed, false)
  const counts = (await Promise.all(imports)).map(({ counts }) => counts)
  const sums = [0, 1, 2, 3].map((i) => counts.reduce((sum, count) => sum + (count[i] ?? 0), 0))
  t.strictSame(sums, [15_000, 5000, 10_000, 0], 'three imports of the same lines place each once')
})
