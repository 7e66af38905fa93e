import { isUnavailable } from '@orders/database'
import { orderStatuses } from '@orders/schema'
import t from 'tap'
import { type Verb, verbs, verbsFor } from '../src/change-order.ts'
import { connect, openOrders, outcomeOf, rowsOf, startOrders } from './service.ts'

const pathTo: Record<(typeof orderStatuses)[number], Verb[]> = {
  placed: [],
  confirmed: ['confirm'],
  completed: ['confirm', 'complete'],
  cancelled: ['cancel'],
}
const target = { confirm: 'confirmed', complete: 'completed', cancel: 'cancelled' } as const
const allowed: [string, Verb][] = [
  ['placed', 'confirm'],
  ['placed', 'cancel'],
  ['confirmed', 'complete'],
  ['confirmed', 'cancel'],
]

t.test('every verb in every status moves on, changes nothing, or is refused', async (t) => {
  const { orders, org, events } = await startOrders(t)
  for (const status of orderStatuses) {
    for (const verb of verbs) {
      const id = `${status}-${verb}`
      await orders.placeOrder(org, { id, amount: 1 })
      for (const step of pathTo[status]) await orders.changeStatus(org, id, step)
      const before = await orders.getOrder(org, id)
      const told = events.length
      const may = allowed.some(([from, by]) => from === status && by === verb)
      t.equal(verbsFor(status).includes(verb), may, `${verb} of ${status} is ${may ? '' : 'not '}offered`)
      if (may) {
        const after = await orders.changeStatus(org, id, verb)
        t.match(after, { status: target[verb], version: before.version + 1, created_at: before.created_at }, id)
        t.strictSame(await orders.getOrder(org, id), after)
        t.strictSame(events.slice(told), [`orders.order.${target[verb]}.v1`])
      } else if (status === target[verb]) {
        t.strictSame(await orders.changeStatus(org, id, verb), before, `${id} again changes nothing`)
        t.equal(events.length, told)
      } else {
        await t.rejects(orders.changeStatus(org, id, verb), { code: 'ILLEGAL_TRANSITION' }, id)
        t.strictSame(await orders.getOrder(org, id), before)
      }
      const { events: history } = await orders.listEvents(org, id)
      const last = history.at(-1)
      t.strictSame(last?.data, await orders.getOrder(org, id), 'the last event shows the order as it is')
      t.strictSame(
        history.map(({ sequence }) => sequence),
        history.map((_, i) => i + 1),
      )
    }
  }
})

t.test('verbs at once over two processes make one event each, without a gap', async (t) => {
  const service = await startOrders(t)
  const other = await openOrders(t, service.url)
  const { org, admin } = service
  const ids = Array.from({ length: 12 }, (_, i) => `o-${i}`)
  await Promise.all(ids.map((id) => service.orders.placeOrder(org, { id, amount: 1 })))
  const outcomes = await Promise.all(
    ids.flatMap((id) =>
      [service.orders, other.orders].flatMap((orders) =>
        verbs.map((verb) => outcomeOf(orders.changeStatus(org, id, verb))),
      ),
    ),
  )
  for (const outcome of outcomes) {
    if (typeof outcome === 'string') t.equal(outcome, 'ILLEGAL_TRANSITION')
  }
  const rows = await rowsOf(
    admin,
    `SELECT o.id, o.version, o.status, array_agg(e.sequence ORDER BY e.sequence) AS sequences,
      count(DISTINCT e.type)::int AS types, count(x.id)::int AS outbox
    FROM orders o JOIN order_events e ON (e.org_id, e.order_number) = (o.org_id, o.number)
    JOIN outbox x ON (x.org_id, x.sequence) = (o.org_id, e.sequence) AND o.id = ANY (x.order_ids)
    WHERE o.org_id = $1 GROUP BY o.org_id, o.id`,
    [org],
  )
  t.equal(rows.length, ids.length)
  for (const { id, version, status, sequences, types, outbox } of rows) {
    t.match(status, /^(completed|cancelled)$/, id)
    t.strictSame([sequences, types, outbox], [Array.from({ length: version }, (_, i) => i + 1), version, version], id)
  }
  const told = [...service.events, ...other.events].length
  t.equal(
    told,
    rows.reduce((sum, { version }) => sum + version, 0),
    'and each was told once',
  )
})

t.test('an edit replaces what it names, if nobody was faster', async (t) => {
  const { orders, org, events } = await startOrders(t)
  const placed = { id: 'a', amount: 1.5, description: 'first', metadata: { a: '1' } }
  await orders.placeOrder(org, placed)
  const asPlaced = await orders.getOrder(org, 'a')
  const edited = await orders.editOrder(org, 'a', { description: 'second' }, (version) => version === 1)
  t.match(edited, { description: 'second', metadata: { a: '1' }, version: 2, status: 'placed', amount: 1.5 })
  t.match(await orders.editOrder(org, 'a', { metadata: { b: '2' } }, () => true), { metadata: { b: '2' }, version: 3 })
  t.match(await orders.editOrder(org, 'a', { description: null }, () => true), { description: null, version: 4 })
  const history = (await orders.listEvents(org, 'a')).events.map(({ data }) => data)
  t.strictSame(history.slice(0, 2), [asPlaced, edited], 'events show the order as it was')
  await t.rejects(
    orders.editOrder(org, 'a', { description: 'late' }, (version) => version === 3),
    { code: 'PRECONDITION_FAILED', message: 'The order is at version 4 now.' },
  )
  t.equal(events.filter((type) => type === 'orders.order.updated.v1').length, 3)

  const racing = await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      outcomeOf(orders.editOrder(org, 'a', { description: `racer ${i}` }, (version) => version === 4)),
    ),
  )
  t.equal(racing.filter((outcome) => typeof outcome === 'object').length, 1, 'one of ten wins')
  t.equal(racing.filter((outcome) => outcome === 'PRECONDITION_FAILED').length, 9)
})

t.test('an order of nobody, or of another organisation, does not exist', async (t) => {
  const { orders, org, admin } = await startOrders(t)
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  const stranger = '00000000-0000-7000-8000-00000000ffff'
  for (const [where, id] of [
    [org, 'b'],
    [stranger, 'a'],
  ] as const) {
    const expected = { code: 'ORDER_NOT_FOUND', message: `There is no order ${id}.` }
    await t.rejects(orders.changeStatus(where, id, 'confirm'), expected)
    await t.rejects(
      orders.editOrder(where, id, { description: 'x' }, () => true),
      expected,
    )
    await t.rejects(orders.getOrder(where, id), expected)
    await t.rejects(orders.listEvents(where, id), expected)
  }
  t.strictSame(await rowsOf(admin, 'SELECT status, version FROM orders'), [{ status: 'placed', version: 1 }])
})

t.test('a change that waits for another one too long can be tried again later', async (t) => {
  const { orders, org, url } = await startOrders(t)
  const blocker = await connect(t, url)
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  await blocker.query('BEGIN; SELECT FROM orders FOR UPDATE')
  const started = performance.now()
  const refusal = await orders.changeStatus(org, 'a', 'confirm').catch((error) => error)
  t.ok(isUnavailable(refusal), refusal.message)
  t.ok(performance.now() - started < 3000)
  await blocker.query('ROLLBACK')
  t.match(await orders.changeStatus(org, 'a', 'confirm'), { status: 'confirmed' })
})

t.test('a change that PostgreSQL breaks off as a conflict is tried again', async (t) => {
  const { orders, org, admin, url } = await startOrders(t)
  const session = await connect(t, url)
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  const breakTimes = (times: number) =>
    session.query(`CREATE SEQUENCE IF NOT EXISTS conflicts; SELECT setval('conflicts', 1, false);
      GRANT USAGE ON SEQUENCE conflicts TO orders_app;
      CREATE OR REPLACE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF nextval('conflicts') <= ${times} THEN RAISE SQLSTATE '40P01'; END IF;
        RETURN new;
      END $$;
      CREATE OR REPLACE TRIGGER conflict BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION conflict()`)
  await breakTimes(2)
  t.match(await orders.changeStatus(org, 'a', 'confirm'), { status: 'confirmed', version: 2 })
  await breakTimes(3)
  const conflict = await orders.changeStatus(org, 'a', 'complete').catch((error) => error)
  t.equal(conflict.code, '40P01', 'but not for ever')
  t.ok(isUnavailable(conflict), 'and then the client may try')
  t.strictSame(await rowsOf(admin, 'SELECT count(*)::int AS n FROM order_events'), [{ n: 2 }])
})
