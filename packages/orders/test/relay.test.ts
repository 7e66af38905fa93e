import { connectionOptions, openDatabase } from '@orders/database'
import { newOrganisation } from '@orders/database/testing'
import pg from 'pg'
import t, { type Test } from 'tap'
import { placeOrders } from '../src/placement-repository.ts'
import { createProcessing } from '../src/process-events.ts'
import { createRelay, type Outcome } from '../src/relay.ts'
import type { QueuedEvent } from '../src/relay-repository.ts'
import { rowsOf, startOrders } from './service.ts'

type Relay = ReturnType<typeof createRelay>

async function start(t: Test, options: Partial<Parameters<typeof createRelay>[0]> = {}) {
  const service = await startOrders(t)
  const handed: QueuedEvent[] = []
  const another = (more: typeof options = {}) => {
    const pool = new pg.Pool(connectionOptions(service.url, { role: 'orders_worker' }))
    t.teardown(() => pool.end())
    const own: QueuedEvent[] = []
    const relay = createRelay({
      database: openDatabase(pool, () => {}),
      handOn: async (events) => {
        own.push(...events)
        handed.push(...events)
        return events.map(() => undefined)
      },
      ...options,
      ...more,
    })
    return { relay, own }
  }
  return { ...service, ...another(), another, handed }
}

async function drain({ move, relay }: Relay): Promise<void> {
  while ((await move()) > 0);
  while ((await relay()) > 0);
}

const place = ({ orders }: Awaited<ReturnType<typeof startOrders>>, org: string, id: string) =>
  orders.placeOrder(org, { id, amount: 1 })

t.test('an event goes from the outbox to the log and the queue, and from there on', async (t) => {
  const service = await start(t)
  const { orders, org, url, admin, relay, handed } = service
  const other = await newOrganisation(url)
  await place(service, org, 'a')
  await orders.changeStatus(org, 'a', 'confirm')
  await place(service, other, 'a')
  t.equal(await relay.move(), 3)
  t.equal(await relay.move(), 0)
  t.match(await relay.lag(), { outbox: 0, queue: 3, dead_letters: 0 })
  const log = 'SELECT org_id, position, order_ids, sequence FROM event_log ORDER BY org_id = $1 DESC, position'
  t.strictSame(await rowsOf(admin, log, [org]), [
    { org_id: org, position: '1', order_ids: ['a'], sequence: 1 },
    { org_id: org, position: '2', order_ids: ['a'], sequence: 2 },
    { org_id: other, position: '1', order_ids: ['a'], sequence: 1 },
  ])
  t.equal(await relay.relay(), 3)
  t.equal(await relay.relay(), 0)
  const mine = handed.filter(({ org_id }) => org_id === org)
  t.match(mine, [
    { id: 'a', version: 1, type: 'orders.order.placed.v1', status: 'placed' },
    { id: 'a', version: 2, type: 'orders.order.confirmed.v1', status: 'confirmed' },
  ])
  t.match(await relay.lag(), { outbox: 0, queue: 0, oldest_seconds: 0 })
})

t.test('what one statement wrote is moved together, and so is what older code left', async (t) => {
  const service = await start(t)
  const { orders, org, admin, relay, handed } = service
  await Promise.all(['a', 'b', 'c'].map((id) => place(service, org, id)))
  await orders.changeStatus(org, 'a', 'confirm')
  await admin.query('UPDATE outbox SET order_id = order_ids[1], order_ids = NULL WHERE sequence = 2')
  t.strictSame(await rowsOf(admin, 'SELECT events, order_id FROM outbox ORDER BY id'), [
    { events: 3, order_id: null },
    { events: 1, order_id: 'a' },
  ])
  t.equal((await relay.lag()).outbox, 4)
  t.strictSame([await relay.move(), await relay.move()], [4, 0])
  await drain(relay)
  t.strictSame(handed.map(({ id, version }) => `${id}.${version}`).sort(), ['a.1', 'a.2', 'b.1', 'c.1'])
  t.equal(handed.at(-1)?.version, 2)

  t.comment('the log has a row for each of the outbox, and is read event by event, as what older code logged is')
  const logged = async (after: number, limit: number) =>
    (await orders.readLog(org, after, limit)).map(({ position, event }) => `${position} ${event.id}`)
  const [first, second, third] = (await logged(0, 3)) as [string, string, string]
  t.strictSame([first, second, third].map((line) => line.slice(2)).sort(), ['a.1', 'b.1', 'c.1'])
  t.strictSame(await logged(0, 200), [first, second, third, '4 a.2'])
  t.strictSame(await logged(1, 2), [second, third])
  await admin.query('UPDATE event_log SET only_order_id = order_ids[1], order_ids = NULL WHERE events = 1')
  t.strictSame(await logged(2, 2), [third, '4 a.2'])
  t.strictSame(await logged(4, 1), [])
  await orders.assertReadable(org, 0)
  await admin.query('DELETE FROM event_log WHERE position = 3')
  await t.rejects(orders.assertReadable(org, 2), { code: 'STREAM_POSITION_GONE' })
  await orders.assertReadable(org, 3)

  t.comment('large rows are moved as long as there is room for what they begin with')
  await admin.query(
    `INSERT INTO outbox (org_id, sequence, order_ids, events)
    SELECT $1, 1, array_fill('a'::text, ARRAY[n]), n FROM unnest('{400, 300, 300}'::int[]) AS n`,
    [org],
  )
  t.strictSame([await relay.move(), await relay.move(), await relay.move()], [700, 300, 0])
  t.match(await rowsOf(admin, 'SELECT max(position)::int AS last FROM event_log'), [{ last: 1004 }])
})

/** Rows of the outbox, each with so many events, as the statements of an import write them. */
const fill = (admin: pg.Client, org: string, rows: number, events: number) =>
  admin.query(
    `INSERT INTO outbox (org_id, sequence, order_ids, events)
    SELECT $1, 1, array_fill('a'::text, ARRAY[$3::int]), $3 FROM generate_series(1, $2::int)`,
    [org, rows, events],
  )

const waitingOf = async (admin: pg.Client, org: string) =>
  (await rowsOf(admin, 'SELECT FROM outbox WHERE org_id = $1', [org])).length

for (const [name, rows, events] of [
  ['large', 40, 500],
  ['small', 5000, 1],
] as const) {
  t.test(`the order of another organisation passes a backlog of ${name} rows in one move`, async (t) => {
    const service = await start(t)
    const { org, url, admin, relay } = service
    const other = await newOrganisation(url)
    await fill(admin, org, rows, events)
    await place(service, other, 'a')

    const moved = await relay.move()

    t.ok(moved < 1000, `${moved} events were moved`)
    t.equal(await waitingOf(admin, other), 0)
    t.ok((await waitingOf(admin, org)) > 0)
  })
}

t.test('a large row leaves although small rows of others always wait', async (t) => {
  const { org, url, admin, relay } = await start(t)
  await fill(admin, org, 2, 500)
  const others = await Promise.all(Array.from({ length: 3 }, () => newOrganisation(url)))
  for (const other of others) await fill(admin, other, 1000, 1)

  await relay.move()
  await relay.move()

  t.equal(await waitingOf(admin, org), 0)
})

t.test('of more organisations than one move visits, the next move serves the others', async (t) => {
  const { admin, relay } = await start(t)
  await admin.query(
    `INSERT INTO outbox (org_id, sequence, order_ids)
    SELECT id, 1, '{a}' FROM (SELECT uuidv7() AS id FROM generate_series(1, 600)), generate_series(1, 3)`,
  )
  t.match(await rowsOf(admin, 'SELECT count(DISTINCT org_id)::int AS orgs FROM outbox'), [{ orgs: 600 }])

  let moved = (await relay.move()) + (await relay.move())

  const unserved = 'SELECT org_id FROM outbox GROUP BY org_id HAVING count(*) = 3'
  t.strictSame(await rowsOf(admin, unserved), [])
  for (let count = await relay.move(); count > 0; count = await relay.move()) moved += count
  t.equal(moved, 1800)
  t.match(await relay.lag(), { outbox: 0 })
})

t.test('in the queue, the event of another organisation passes a backlog', async (t) => {
  const batch = 50
  const service = await start(t, { batch })
  const { org, url, admin, database, relay, handed } = service
  const other = await newOrganisation(url)
  const content = { amount: '1', currency: 'EUR', project_id: null, description: null, metadata: '{}' }
  const orders = Array.from({ length: 3000 }, (_, i) => ({ ...content, id: `order-${i}` }))
  await database.runInTenant(org, placeOrders(org, orders))
  while ((await relay.move()) > 0);
  await place(service, other, 'a')
  t.equal(await relay.move(), 1)
  t.match(await rowsOf(admin, 'SELECT count(DISTINCT lane)::int AS lanes FROM event_queue'), [{ lanes: 64 }])

  for (let lane = 0; lane < 64; lane += 8) await relay.relay()

  t.match(
    handed.filter(({ org_id }) => org_id === other),
    [{ id: 'a' }],
  )
  t.ok(handed.length < 1000, `${handed.length} of 3001 events have left`)
})

t.test("side by side, each event goes once and an order's in order", async (t) => {
  const service = await start(t)
  const { orders, org, another, handed } = service
  const ids = Array.from({ length: 300 }, (_, i) => `order-${i}`)
  await Promise.all(ids.map((id) => place(service, org, id)))
  const workers = Array.from({ length: 4 }, () => another())
  let placing = true
  const working = Promise.all(
    workers.map(async ({ relay }) => {
      while (placing || (await relay.move()) + (await relay.relay()) > 0)
        await Promise.all([relay.move(), relay.relay()])
    }),
  )
  for (const verb of ['confirm', 'complete'] as const) {
    const left = [...ids]
    const change = async () => {
      for (let id = left.pop(); id; id = left.pop()) await orders.changeStatus(org, id, verb)
    }
    await Promise.all([change(), change(), change(), change()])
  }
  placing = false
  await working
  await drain(service.relay)
  t.equal(handed.length, 900)
  const last = new Map<string, number>()
  const disordered = handed.filter(({ id, version }) => {
    const before = last.get(id) ?? 0
    last.set(id, version)
    return version !== before + 1
  })
  t.strictSame(disordered, [])
  t.ok(workers.filter(({ own }) => own.length > 0).length > 1, 'more than one had work')
})

t.test("what fails waits with its order's later events, and becomes a dead letter", async (t) => {
  const bad = new Set(['bad'])
  const handed: string[] = []
  const service = await start(t, {
    retryPauses: [0, 0],
    handOn: async (events): Promise<Outcome[]> =>
      events.map(({ id, version }) => {
        if (bad.has(id) && version === 1) return new Error('will not do')
        handed.push(`${id} ${version}`)
        return undefined
      }),
  })
  const { orders, org, admin, relay } = service
  await place(service, org, 'bad')
  await place(service, org, 'good')
  t.equal(await relay.move(), 2)
  t.equal(await relay.relay(), 2)
  t.strictSame(handed, ['good 1'])
  await admin.query("UPDATE event_queue SET retry_at = now() + interval '1 hour'")
  await orders.changeStatus(org, 'bad', 'cancel')
  await relay.move()
  t.equal(await relay.relay(), 0, 'the later event waits behind it')
  await admin.query('UPDATE event_queue SET retry_at = now()')
  await relay.relay()
  t.match(await relay.lag(), { queue: 1, dead_letters: 0 }, 'that it came to the later one is not stopped by a retry')
  await relay.relay()
  t.match(await rowsOf(admin, 'SELECT order_id, sequence, attempts, reason FROM dead_letters'), [
    { order_id: 'bad', sequence: 1, attempts: 3, reason: 'will not do' },
  ])
})

t.test('of events that fail together, only the first of each order has an attempt to its name', async (t) => {
  const handed: string[] = []
  let refuses = true
  const service = await start(t, {
    retryPauses: [0],
    handOn: async (events): Promise<Outcome[]> =>
      events.map(({ id, version }) => {
        handed.push(`${id} ${version}`)
        return refuses && id === 'bad' ? new Error('not now') : undefined
      }),
  })
  const { orders, org, admin, relay } = service
  await place(service, org, 'bad')
  await orders.changeStatus(org, 'bad', 'confirm')
  await relay.move()
  await relay.relay()
  t.strictSame(await rowsOf(admin, 'SELECT sequence, attempts FROM event_queue ORDER BY id'), [
    { sequence: 1, attempts: 1 },
    { sequence: 2, attempts: 0 },
  ])
  await relay.relay()
  t.match(await relay.lag(), { queue: 1, dead_letters: 1 }, 'the first is given up, the second has its turn')
  refuses = false
  await relay.relay()
  t.match(await relay.lag(), { queue: 0, dead_letters: 1 })
})

t.test('what a killed worker held is handed on when its lease has run out', async (t) => {
  const service = await start(t)
  const { org, admin, relay, handed } = service
  await place(service, org, 'a')
  await relay.move()
  await admin.query("UPDATE event_lanes SET lease = lease + 1, leased_until = now() + interval '1 hour'")
  t.equal(await relay.relay(), 0)
  await admin.query('UPDATE event_lanes SET leased_until = now()')
  t.equal(await relay.relay(), 1)
  t.equal(handed.length, 1)
})

t.test('a batch that cannot be handed on stays, and its lanes are free at once', async (t) => {
  let away = true
  const service = await start(t, {
    handOn: async (events) => {
      if (away) throw new Error('nobody is there')
      return events.map(() => undefined)
    },
  })
  await place(service, service.org, 'a')
  await service.relay.move()
  await t.rejects(service.relay.relay(), { message: 'nobody is there' })
  away = false
  t.equal(await service.relay.relay(), 1)
})

t.test('an order that was placed is confirmed once, however its events come', async (t) => {
  const service = await start(t)
  const { orders, org, database, admin } = service
  const seen: string[] = []
  const { processEvents } = createProcessing({ database, onEvents: (type, n) => seen.push(`${type} ${n}`) })
  for (const id of ['a', 'b', 'c']) await place(service, org, id)
  await orders.changeStatus(org, 'c', 'cancel')
  const event = (id: string, version = 1, type = 'orders.order.placed.v1' as const) => ({
    org_id: org,
    id,
    version,
    type,
  })
  const all = [event('b'), event('a'), event('a'), event('c'), event('missing')]
  t.strictSame(
    await processEvents(all),
    all.map(() => undefined),
  )
  t.strictSame(
    await processEvents(all.toReversed()),
    all.map(() => undefined),
  )
  const rows = await rowsOf(admin, 'SELECT id, status, version FROM orders ORDER BY id')
  t.strictSame(rows, [
    { id: 'a', status: 'confirmed', version: 2 },
    { id: 'b', status: 'confirmed', version: 2 },
    { id: 'c', status: 'cancelled', version: 2 },
  ])
  t.strictSame(seen, ['orders.order.confirmed.v1 2'])
  t.equal((await orders.listEvents(org, 'a')).events.length, 2)
})

const statuses = async (admin: pg.Client) =>
  (await rowsOf(admin, 'SELECT id, status FROM orders ORDER BY id')).map(({ id, status }) => `${id} ${status}`)

t.test('what placed orders cause is done in the transaction that moves their events', async (t) => {
  const service = await start(t)
  const { orders, org, url, database, admin } = service
  const other = await newOrganisation(url)
  const seen: string[] = []
  const { effect } = createProcessing({ database, onEvents: (type, n) => seen.push(`${type} ${n}`) })
  const { relay, own } = service.another({ effect })
  for (const id of ['a', 'b', 'c']) await place(service, org, id)
  await place(service, other, 'd')
  await orders.changeStatus(org, 'c', 'cancel')
  t.equal(await relay.move(), 5)
  t.strictSame(await statuses(admin), ['a confirmed', 'b confirmed', 'c cancelled', 'd confirmed'])
  t.strictSame(seen.sort(), ['orders.order.confirmed.v1 1', 'orders.order.confirmed.v1 2'])
  t.match(await relay.lag(), { outbox: 3, queue: 0 })
  t.equal(await relay.move(), 3)
  t.strictSame([await relay.move(), await relay.relay(), own.length], [0, 0, 0], 'there is nothing to hand on')
  const log = await rowsOf(admin, 'SELECT order_ids, sequence, position::int FROM event_log WHERE org_id = $1', [other])
  t.strictSame(log, [
    { order_ids: ['d'], sequence: 1, position: 1 },
    { order_ids: ['d'], sequence: 2, position: 2 },
  ])
})

t.test('what a large statement wrote, and what follows from it, leaves in parts', async (t) => {
  const service = await start(t)
  const { org, database, admin } = service
  const { effect } = createProcessing({ database, onEvents: () => {} })
  const { relay } = service.another({ effect })
  const content = { amount: '1', currency: 'EUR', project_id: null, description: null, metadata: '{}' }
  const orders = Array.from({ length: 1200 }, (_, i) => ({ ...content, id: `order-${i}` }))
  await database.runInTenant(org, placeOrders(org, orders))
  const rows = 'SELECT sum(events)::int AS events, max(events) AS largest FROM outbox'
  t.match(await rowsOf(admin, rows), [{ events: 1200, largest: 500 }])
  let moved = 0
  for (let count = await relay.move(); count > 0; count = await relay.move()) {
    t.ok(count < 1000, `${count} events left together`)
    moved += count
  }
  t.equal(moved, 2400)
  t.strictSame(await rowsOf(admin, 'SELECT status, count(*)::int AS n FROM orders GROUP BY status'), [
    { status: 'confirmed', n: 1200 },
  ])
})

t.test('where that fails, nothing of it is done, and all of them are queued', async (t) => {
  const service = await start(t)
  const { org, url, database, admin } = service
  const other = await newOrganisation(url)
  await admin.query("ALTER TABLE orders ADD CONSTRAINT planted CHECK (id <> 'bad' OR status = 'placed')")
  const { effect, processEvents } = createProcessing({ database, onEvents: () => {} })
  const { relay } = service.another({ effect, handOn: processEvents, retryPauses: [] })
  await place(service, org, 'a')
  await place(service, other, 'bad')
  t.equal(await relay.move(), 2)
  t.strictSame(await statuses(admin), ['a placed', 'bad placed'])
  t.match(await relay.lag(), { outbox: 0, queue: 2 })
  t.equal(await relay.relay(), 2)
  t.strictSame(await statuses(admin), ['a confirmed', 'bad placed'])
  t.match(await rowsOf(admin, 'SELECT order_id, reason FROM dead_letters'), [{ order_id: 'bad', reason: /planted/ }])

  t.comment('an order that somebody holds keeps the others for a tenth of a second')
  await place(service, org, 'held')
  await admin.query('BEGIN')
  await admin.query("SELECT FROM orders WHERE id = 'held' FOR UPDATE")
  await place(service, org, 'b')
  const began = performance.now()
  t.equal(await relay.move(), 3)
  t.ok(performance.now() - began < 900)
  await admin.query('COMMIT')
  t.equal(await relay.relay(), 2)
  t.strictSame((await statuses(admin)).slice(-2), ['bad placed', 'held confirmed'])
})

t.test('one event that the database refuses does not keep the others', async (t) => {
  const service = await start(t)
  const { org, database, admin } = service
  await admin.query('ALTER TABLE inbox ADD CONSTRAINT planted CHECK (order_id <> $$bad$$)')
  const { processEvents } = createProcessing({ database, onEvents: () => {} })
  for (const id of ['a', 'bad', 'b', 'c']) await place(service, org, id)
  const outcomes = await processEvents(
    ['a', 'bad', 'b', 'c'].map((id) => ({ org_id: org, id, version: 1, type: 'orders.order.placed.v1' })),
  )
  t.match(outcomes, [undefined, { message: /planted/ }, undefined, undefined])
  t.strictSame(await rowsOf(admin, "SELECT id FROM orders WHERE status = 'placed'"), [{ id: 'bad' }])
})
