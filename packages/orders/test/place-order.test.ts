import { isUnavailable } from '@orders/database'
import { newOrganisation } from '@orders/database/testing'
import t, { type Test } from 'tap'
import type { Placed } from '../src/index.ts'
import { claimOf, connect, openOrders, outcomeOf, rowsOf, startOrders, until } from './service.ts'

type Service = Awaited<ReturnType<typeof startOrders>>

const orderOf = (placed: Placed | string) => (typeof placed === 'object' && !placed.replayed ? placed.order : undefined)
const createdOf = (placed: Placed | string) =>
  typeof placed === 'string' ? placed : placed.replayed ? 'replayed' : placed.created ? 'created' : 'there'

/** Everything that is kept for an organisation, which must fit together whatever happened. */
async function assertConsistent(t: Test, { admin, org }: Pick<Service, 'admin' | 'org'>, orders: number) {
  const [found] = await rowsOf(
    admin,
    `SELECT (SELECT count(*)::int FROM orders WHERE org_id = $1) AS orders,
      (SELECT count(*)::int FROM order_events WHERE org_id = $1) AS events,
      (SELECT coalesce(sum(events), 0)::int FROM outbox WHERE org_id = $1) AS outbox,
      (SELECT count(*)::int FROM orders o JOIN order_events e ON (e.org_id, e.order_number) = (o.org_id, o.number)
        JOIN outbox x ON (x.org_id, x.sequence) = (o.org_id, e.sequence) AND o.id = ANY (x.order_ids)
        WHERE o.org_id = $1 AND e.sequence = 1 AND e.type = 'orders.order.placed.v1') AS matching,
      (SELECT count(*)::int FROM idempotency_records WHERE org_id = $1 AND answer IS NULL) AS open_claims`,
    [org],
  )
  t.strictSame(found, { orders, events: orders, outbox: orders, matching: orders, open_claims: 0 })
}

t.test('an order is kept with its event and its outbox row, and the event shows the order', async (t) => {
  const service = await startOrders(t)
  const { orders, org, admin, events } = service
  const placed = await orders.placeOrder(org, {
    id: 'a-1',
    amount: 123.45,
    currency: 'USD',
    description: 'quotes " and \\ and \u2028 and 😀',
    metadata: { 'a"b': 'c\\d', e: '%s' },
  })
  t.match(placed, {
    replayed: false,
    created: true,
    answer: undefined,
    order: { id: 'a-1', org_id: org, amount: 123.45, currency: 'USD', status: 'placed', project_id: null, version: 1 },
  })
  t.strictSame(await orders.getOrder(org, 'a-1'), orderOf(placed), 'what is read is what was answered')
  const [event] = (await orders.listEvents(org, 'a-1')).events
  t.strictSame(event?.data, orderOf(placed))
  t.match(event, { type: 'orders.order.placed.v1', order_id: 'a-1', sequence: 1 })
  t.strictSame(events, ['orders.order.placed.v1'])
  await assertConsistent(t, { admin, org }, 1)
})

t.test('what is left out is filled in', async (t) => {
  const { orders, org } = await startOrders(t)
  const [first, second] = await Promise.all([1, 2].map(() => orders.placeOrder(org, { amount: 1 })))
  const order = orderOf(first as Placed)
  t.match(order, { currency: 'EUR', description: null, metadata: {} })
  t.match(order?.id, /^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  t.not(order?.id, orderOf(second as Placed)?.id)
})

t.test('many at once share few commits', async (t) => {
  const service = await startOrders(t)
  const { orders, org, admin, batches } = service
  const before = await commits(service)
  const placed = await Promise.all(
    Array.from({ length: 1000 }, (_, i) => orders.placeOrder(org, { id: `o-${i}`, amount: i + 1 })),
  )
  t.strictSame(
    placed.map((it) => orderOf(it)?.amount),
    Array.from({ length: 1000 }, (_, i) => i + 1),
  )
  t.strictSame(batches, [500, 500])
  t.ok((await commits(service)) - before <= 20, 'and not a commit each')
  await assertConsistent(t, { admin, org }, 1000)
})

/** Transactions that wrote, so far. */
async function commits({ admin }: Service): Promise<number> {
  const [row] = await rowsOf(admin, 'SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS next')
  return Number(row.next)
}

t.test('an id is placed once: the same content meets its order, other content is refused', async (t) => {
  const service = await startOrders(t)
  const { orders, org, url } = service
  const order = { id: 'same', amount: 5, metadata: { b: '1', a: '2' } }
  t.equal(createdOf(await orders.placeOrder(org, order)), 'created')
  t.equal(createdOf(await orders.placeOrder(org, { ...order, metadata: { a: '2', b: '1' } })), 'there')
  for (const other of [
    { amount: 6 },
    { currency: 'USD' },
    { description: 'x' },
    { metadata: { a: '2' } },
    { metadata: {} },
  ]) {
    await t.rejects(orders.placeOrder(org, { ...order, ...other }), { code: 'ORDER_ID_TAKEN' })
  }
  await orders.changeStatus(org, 'same', 'confirm')
  await orders.editOrder(org, 'same', { description: 'edited' }, () => true)
  const again = await orders.placeOrder(org, order)
  t.match(again, { created: false, order: { status: 'confirmed', description: 'edited', version: 3 } })
  t.equal(
    createdOf(await orders.placeOrder(await newOrganisation(url), order)),
    'created',
    'another organisation has its own',
  )
})

t.test('repeats inside one batch are as repeats over time', async (t) => {
  const service = await startOrders(t)
  const { orders, org, batches } = service
  const place = (id: string, amount: number) => outcomeOf(orders.placeOrder(org, { id, amount }))
  const placed = await Promise.all([place('a', 1), place('a', 1), place('b', 1), place('a', 2), place('b', 1)])
  t.strictSame(placed.map(createdOf), ['created', 'there', 'created', 'ORDER_ID_TAKEN', 'there'])
  t.equal(batches[0], 5)
  await assertConsistent(t, service, 2)
})

t.test('a key places one order and replays its answer, over processes too', async (t) => {
  const service = await startOrders(t)
  const other = await openOrders(t, service.url)
  const { org } = service
  const keys = Array.from({ length: 20 }, (_, i) => `key-of-order-${i}`)
  const bodies = new Map<string, Set<string>>()
  let created = 0
  const place = async (key: string, orders: Service['orders']) => {
    for (;;) {
      const placed = await outcomeOf(orders.placeOrder(org, { amount: 3 }, claimOf(key, { amount: 3 })))
      if (placed === 'IDEMPOTENCY_IN_FLIGHT') continue
      if (typeof placed === 'string') return t.fail(placed)
      if (createdOf(placed) === 'created') created++
      bodies.set(key, (bodies.get(key) ?? new Set()).add(`${placed.answer?.status} ${placed.answer?.body}`))
      return
    }
  }
  await Promise.all(
    keys.flatMap((key) => Array.from({ length: 20 }, (_, i) => place(key, i % 2 ? service.orders : other.orders))),
  )
  t.equal(created, keys.length)
  t.strictSame(
    keys.map((key) => bodies.get(key)?.size),
    keys.map(() => 1),
    'every answer to a key is the same',
  )
  await assertConsistent(t, service, keys.length)
})

t.test('a key is for one body, one route, one principal and one organisation', async (t) => {
  const { orders, org, url } = await startOrders(t)
  const claim = claimOf('one-key-for-all', { amount: 1 })
  t.equal(createdOf(await orders.placeOrder(org, { amount: 1 }, claim)), 'created')
  await t.rejects(orders.placeOrder(org, { amount: 2 }, claimOf(claim.key, { amount: 2 })), {
    code: 'IDEMPOTENCY_MISMATCH',
  })
  for (const [where, it] of [
    [org, { ...claim, route: 'POST /other' }],
    [org, { ...claim, principal: 'someone else' }],
    [await newOrganisation(url), claim],
  ] as const) {
    t.equal(createdOf(await orders.placeOrder(where, { amount: 1 }, it)), 'created')
  }
  t.equal(createdOf(await orders.placeOrder(org, { amount: 1 }, claim)), 'replayed')
})

t.test('a key whose order was there already keeps that answer; one that was refused stays free', async (t) => {
  const service = await startOrders(t)
  const { orders, org } = service
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  const claim = claimOf('met-its-own-order', 1)
  const met = await orders.placeOrder(org, { id: 'a', amount: 1 }, claim)
  t.match(met, { created: false, answer: { status: 200 } })
  await orders.changeStatus(org, 'a', 'cancel')
  const replayed = await orders.placeOrder(org, { id: 'a', amount: 1 }, claim)
  t.strictSame(replayed, { replayed: true, answer: met.answer }, 'as it was answered first')

  const refused = claimOf('first-it-was-taken', 2)
  await t.rejects(orders.placeOrder(org, { id: 'a', amount: 2 }, refused), { code: 'ORDER_ID_TAKEN' })
  t.equal(createdOf(await orders.placeOrder(org, { id: 'b', amount: 2 }, refused)), 'created')
  const inOneBatch = await Promise.all(
    ['c', 'c'].map((id, i) =>
      outcomeOf(orders.placeOrder(org, { id, amount: 3 }, claimOf(`same-id-other-key-${i}`, 3))),
    ),
  )
  t.strictSame(inOneBatch.map(createdOf), ['created', 'there'])
  t.equal((await rowsOf(service.admin, 'SELECT FROM idempotency_records WHERE org_id = $1', [org])).length, 4)
})

t.test('a row that the database refuses fails itself alone', async (t) => {
  const service = await startOrders(t)
  const { orders, org } = service
  const faults = {
    'a bad id': { id: '' },
    'a NUL': { description: 'a\0b' },
    'a lone surrogate in metadata': { metadata: { a: '\ud800' } },
    'a text that is too long': { description: 'x'.repeat(2001) },
  }
  const good = Array.from({ length: 60 }, (_, i) => ({ id: `good-${i}`, amount: 1 }))
  const bad = Object.values(faults).map((fault, i) => ({ id: `bad-${i}`, amount: 1, ...fault }))
  const mixed = [...good.slice(0, 20), ...bad.slice(0, 2), ...good.slice(20), ...bad.slice(2)]
  for (const keyed of [false, true]) {
    const prefix = keyed ? 'keyed-' : ''
    const outcomes = await Promise.all(
      mixed.map(async (order, i) => {
        const id = order.id && prefix + order.id
        const claim = keyed ? claimOf(`key-for-number-${i}`, order) : undefined
        return [order.id, createdOf(await outcomeOf(orders.placeOrder(org, { ...order, id }, claim)))] as const
      }),
    )
    for (const [id, outcome] of outcomes) {
      if (id.startsWith('good')) t.equal(outcome, 'created', id)
      else t.match(outcome, /^2[23]/, `${id || 'no id'} is refused by the database: ${outcome}`)
    }
    await assertConsistent(t, service, keyed ? 120 : 60)
  }
})

t.test('a connection lost at the commit is an error, and asking again shows what became of it', async (t) => {
  const service = await startOrders(t, { max: 2 })
  const { orders, org, admin, name } = service
  const blocker = await connect(t, service.url)
  for (const claim of [undefined, claimOf('key-of-a-lost-one', 1)]) {
    const order = { id: claim ? 'keyed' : 'plain', amount: 1 }
    await blocker.query('BEGIN; LOCK TABLE outbox IN SHARE MODE')
    const lost = orders.placeOrder(org, order, claim).then(
      () => undefined,
      (error) => error,
    )
    const waiting =
      "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND application_name = 'orders' AND wait_event_type = 'Lock'"
    await until(async () => (await rowsOf(admin, waiting, [name])).length > 0)
    await admin.query(`SELECT pg_terminate_backend(pid) FROM (${waiting})`, [name])
    t.ok(isUnavailable(await lost))
    await blocker.query('ROLLBACK')
    t.equal(createdOf(await orders.placeOrder(org, order, claim)), 'created')
    t.equal(createdOf(await orders.placeOrder(org, order, claim)), claim ? 'replayed' : 'there')
  }
  await assertConsistent(t, service, 2)
})

t.test('a request that meets an unanswered one is told so, and its neighbours are not kept', async (t) => {
  const service = await startOrders(t)
  const { orders, org } = service
  const blocker = await connect(t, service.url)
  await blocker.query('BEGIN')
  await blocker.query("INSERT INTO orders (org_id, id, amount, currency) VALUES ($1, 'o-50', 1, 'EUR')", [org])
  const started = performance.now()
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, i) => outcomeOf(orders.placeOrder(org, { id: `o-${i}`, amount: 1 }))),
  )
  const ms = performance.now() - started
  t.strictSame(
    outcomes.map(createdOf),
    outcomes.map((_, i) => (i === 50 ? 'IDEMPOTENCY_IN_FLIGHT' : 'created')),
  )
  t.ok(ms < 5000, `all were answered after ${Math.round(ms)} ms`)
  await blocker.query('ROLLBACK')
  t.equal(createdOf(await orders.placeOrder(org, { id: 'o-50', amount: 1 })), 'created')
})

t.test('idle waits for what is in flight', async (t) => {
  const { orders, org } = await startOrders(t)
  let answered = 0
  const placing = Array.from({ length: 700 }, () => orders.placeOrder(org, { amount: 1 }).then(() => answered++))
  await orders.idle()
  t.equal(answered, 700)
  t.equal(orders.waiting(), 0)
  await Promise.all(placing)
})

t.test('a database without a key for cursors is refused', async (t) => {
  const { url, admin } = await startOrders(t)
  await admin.query('DELETE FROM service_keys')
  await t.rejects(openOrders(t, url), { name: 'DatabaseError', message: /^The table service_keys has no key/ })
})

t.test('orders of unknown projects fail no statement, and none of their neighbours', async (t) => {
  const { orders, org, database } = await startOrders(t)
  const run = database.runInTenant
  let failed = 0
  database.runInTenant = (...args) =>
    run<never>(...args).catch((error) => {
      failed++
      throw error
    })
  const project_id = '00000000-0000-7000-8000-00000000ABCD'
  const placed = await Promise.all(
    Array.from({ length: 100 }, (_, i) =>
      outcomeOf(orders.placeOrder(org, { amount: 1, ...(i % 2 && { project_id }) })),
    ),
  )
  t.strictSame(
    placed.map(createdOf),
    placed.map((_, i) => (i % 2 ? 'PROJECT_NOT_FOUND' : 'created')),
  )
  async function* lines() {
    yield Array.from({ length: 500 }, (_, i) => ({
      line: i,
      order: { id: `line-${i}`, amount: 1, ...(i > 0 && { project_id }) },
    }))
  }
  const refused: string[] = []
  for await (const step of orders.importOrders(org, lines())) refused.push(...step.refused.map(({ error }) => error))
  t.strictSame(refused, Array(499).fill('PROJECT_NOT_FOUND'))
  t.equal(failed, 0)

  const order = { id: 'line-0', amount: 1, project_id }
  t.equal(
    createdOf(await outcomeOf(orders.placeOrder(org, order))),
    'ORDER_ID_TAKEN',
    'an id that is there comes first',
  )
})
