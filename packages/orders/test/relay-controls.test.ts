import { connectDatabase } from '@orders/database'
import type pg from 'pg'
import t, { type Test } from 'tap'
import { createRelay } from '../src/relay.ts'
import { connect, rowsOf, startOrders } from './service.ts'

/** Events as a receiver gets them: order and sequence. */
type Received = { id: string; version: number }[]

/** What a receiver misses of everything that happened, has twice, or got before what came before it. */
async function verdict(admin: pg.Client, received: Received) {
  const happened = await rowsOf(
    admin,
    `SELECT o.id, e.sequence AS version FROM order_events e JOIN orders o ON o.org_id = e.org_id AND o.number = e.order_number`,
  )
  const keys = received.map(({ id, version }) => `${id}.${version}`)
  const last = new Map<string, number>()
  let disordered = 0
  for (const { id, version } of received) {
    if (version > (last.get(id) ?? 0) + 1) disordered++
    last.set(id, Math.max(version, last.get(id) ?? 0))
  }
  const lost = happened.filter(({ id, version }) => !keys.includes(`${id}.${version}`)).length
  return { lost, repeated: keys.length - new Set(keys).size, disordered }
}

/** Two orders, of which the first begins before the other and commits after it; `look` sees what is there in between. */
async function overtake(t: Test, look: (admin: pg.Client, url: string) => Promise<void>) {
  const service = await startOrders(t)
  const { orders, org, url, admin } = service
  const slow = await connect(t, url)
  await slow.query('BEGIN')
  await slow.query("INSERT INTO orders (org_id, id, amount, currency) VALUES ($1, 'slow', 1, 'EUR')", [org])
  await slow.query(
    `INSERT INTO order_events (org_id, order_number, sequence, type, status, metadata)
    SELECT org_id, number, 1, 'orders.order.placed.v1', status, metadata FROM orders WHERE id = 'slow'`,
  )
  await slow.query("INSERT INTO outbox (org_id, sequence, order_ids) VALUES ($1, 1, '{slow}')", [org])
  await orders.placeOrder(org, { id: 'fast', amount: 1 })
  await look(admin, url)
  await slow.query('COMMIT')
  await look(admin, url)
  return service
}

function relayTo(t: Test, url: string, received: Received) {
  const { database, close } = connectDatabase(url, { max: 2, role: 'orders_worker', onError: () => {} })
  t.teardown(close)
  const handOn = async (events: Received) => {
    received.push(...events)
    return events.map(() => undefined)
  }
  return createRelay({ database, handOn })
}

t.test('the relay loses nothing that commits late', async (t) => {
  const received: Received = []
  let relay: ReturnType<typeof createRelay> | undefined
  const { admin } = await overtake(t, async (_admin, url) => {
    relay ??= relayTo(t, url, received)
    await relay.move()
    while ((await relay.relay()) > 0);
  })
  t.strictSame(
    received.map(({ id }) => id),
    ['fast', 'slow'],
  )
  t.strictSame(await verdict(admin, received), { lost: 0, repeated: 0, disordered: 0 })
})

t.test('control: one that remembers the last number it saw loses it', async (t) => {
  const received: Received = []
  let last = 0
  const { admin } = await overtake(t, async (admin) => {
    const rows = await rowsOf(
      admin,
      'SELECT id::int, order_ids[1] AS order_id, sequence FROM outbox WHERE id > $1 ORDER BY id',
      [last],
    )
    for (const { id, order_id, sequence } of rows) {
      received.push({ id: order_id, version: sequence })
      last = id
    }
  })
  t.match(await verdict(admin, received), { lost: 1 })
})

t.test('control: an outbox that is written after the commit loses what a kill comes between', async (t) => {
  const { orders, org, url, admin } = await startOrders(t)
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  // As it stands when the process has ended after the first of two commits.
  await admin.query("DELETE FROM outbox WHERE order_ids = '{a}'")
  const received: Received = []
  const relay = relayTo(t, url, received)
  await relay.move()
  await relay.relay()
  t.match(await verdict(admin, received), { lost: 1 })
})

t.test('control: one that marks before it publishes loses what a kill comes between', async (t) => {
  const { orders, org, url, admin } = await startOrders(t)
  for (const id of ['a', 'b']) await orders.placeOrder(org, { id, amount: 1 })
  const received: Received = []
  const relay = relayTo(t, url, received)
  await relay.move()
  await admin.query("DELETE FROM event_queue WHERE order_id = 'a'") // and ends here
  while ((await relay.relay()) > 0);
  t.match(await verdict(admin, received), { lost: 1 })
})

t.test('control: two that share no lanes hand on an order twice, and out of its order', async (t) => {
  const { orders, org, url, admin } = await startOrders(t)
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  await orders.changeStatus(org, 'a', 'confirm')
  const received: Received = []
  const relay = relayTo(t, url, received)
  await relay.move()
  const take = 'SELECT order_id AS id, sequence AS version FROM event_queue ORDER BY id'
  const [one, other] = [await rowsOf(admin, take), await rowsOf(admin, take)]
  received.push(...one.slice(1), ...other, ...one.slice(0, 1))
  t.match(await verdict(admin, received), { lost: 0, repeated: 2, disordered: 1 })
})
