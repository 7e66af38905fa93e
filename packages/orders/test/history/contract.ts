import { randomUUID } from 'node:crypto'
import { newOrganisation } from '@orders/database/testing'
import type { Test } from 'tap'
import { selectEvents } from '../../src/event-repository.ts'
import type { EventStore, StoredEvent } from '../../src/history/event-store.ts'
import { type EventRow, toEvent } from '../../src/row.ts'
import { startOrders } from '../service.ts'

export type Service = Awaited<ReturnType<typeof startOrders>>

const all = { after: 0, limit: 5000 }

/** Makes an order with `count` events in the database; answers them in order. */
export async function makeEvents(service: Service, org: string, id: string, count: number): Promise<StoredEvent[]> {
  const { orders, admin, database } = service
  await orders.placeOrder(org, { id, amount: 1234567.89, description: `of ${id}`, metadata: { 'a "key"': 'ü \\ 🧾' } })
  await admin.query(
    `WITH changed AS (UPDATE orders SET version = $3 WHERE org_id = $1 AND id = $2 RETURNING *)
    INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
    SELECT org_id, number, n, 'orders.order.updated.v1', status, 'change ' || n, metadata
    FROM changed, generate_series(2, $3) n`,
    [org, id, count],
  )
  const rows = await database.readInTenant<EventRow>(org, selectEvents(org, id, 0, count))
  return rows.map((row) => ({ ...toEvent(row), org_id: org }))
}

/** What holds of every event store, told by nothing but its interface. `open` makes one beside the service's database. */
export function keepsTheContract(t: Test, open: (t: Test, service: Service) => Promise<EventStore>): void {
  const start = async (t: Test) => {
    const service = await startOrders(t)
    const store = await open(t, service)
    return { ...service, service, store, other: await newOrganisation(service.url) }
  }
  const sequences = (events: { sequence: number }[]) => events.map(({ sequence }) => sequence)
  const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)
  const taken = (events: unknown[]) => events.map(() => undefined)

  t.test('tells an event as it was', async (t) => {
    const { service, store, org } = await start(t)
    const events = await makeEvents(service, org, 'a', 2)
    t.strictSame(await store.append(events), taken(events))
    const told = await store.read(org, 'a', all)
    t.strictSame(
      told.map((event) => ({ ...event, org_id: org })),
      events,
    )
    t.match(told[0], {
      id: 'a.1',
      type: 'orders.order.placed.v1',
      order_id: 'a',
      sequence: 1,
      occurred_at: /^\d{4}-.*\.\d{3}Z$/,
      data: { org_id: org, amount: 1234567.89, project_id: null, metadata: { 'a "key"': 'ü \\ 🧾' }, version: 1 },
    })
  })

  t.test('keeps each event once and in order, however they come', async (t) => {
    const { service, store, org } = await start(t)
    const events = await makeEvents(service, org, 'a', 40)
    const shuffled = [...events, ...events].sort((a, b) => ((a.sequence * 7) % 11) - ((b.sequence * 7) % 11))
    await Promise.all([store.append(shuffled), store.append(events.toReversed()), store.append(events.slice(0, 9))])
    t.strictSame(await store.append(events), taken(events))
    t.strictSame(await store.append([]), [])
    t.strictSame(sequences(await store.read(org, 'a', all)), upTo(1, 40))
  })

  t.test('keeps organisations apart, whose orders have the same id', async (t) => {
    const { service, store, org, other } = await start(t)
    const mine = await makeEvents(service, org, 'same', 3)
    const theirs = await makeEvents(service, other, 'same', 5)
    await store.append([...theirs, ...mine])
    await makeEvents(service, other, 'theirs', 1).then(store.append)
    for (const [of, length] of [[org, 3] as const, [other, 5] as const]) {
      const told = await store.read(of, 'same', all)
      t.strictSame(sequences(told), upTo(1, length))
      t.strictSame([...new Set(told.map(({ data }) => data.org_id))], [of])
    }
    t.strictSame(await store.read(org, 'theirs', all), [])
    t.strictSame(await store.read(randomUUID(), 'same', all), [])
  })

  t.test('takes every id that an order may have', async (t) => {
    const { service, store, org } = await start(t)
    const longest = `9${'Zz0._-'.repeat(11)}`.slice(0, 64)
    const ids = ['a', 'a.1', 'a.1.1', 'A', 'a..', 'a-1', 'a_1', '0', longest]
    for (const [i, id] of ids.entries()) await store.append(await makeEvents(service, org, id, i + 1))
    for (const [i, id] of ids.entries()) {
      const told = await store.read(org, id, all)
      t.strictSame(
        told.map((event) => event.id),
        upTo(1, i + 1).map((n) => `${id}.${n}`),
      )
    }
  })

  t.test('reads 1,200 events in pages', async (t) => {
    const { service, store, org } = await start(t)
    const events = await makeEvents(service, org, 'long', 1200)
    t.strictSame(await store.append(events), taken(events))
    t.strictSame(sequences(await store.read(org, 'long', all)), upTo(1, 1200))
    const found: number[] = []
    for (let page: number[] = [0]; page.length > 0; found.push(...page)) {
      page = sequences(await store.read(org, 'long', { after: found.at(-1) ?? 0, limit: 200 }))
      t.ok(page.length === 200 || page.length === 0)
    }
    t.strictSame(found, upTo(1, 1200))
    const range = async (after: number, limit: number) => sequences(await store.read(org, 'long', { after, limit }))
    t.strictSame(await range(5, 1), [6])
    t.strictSame(await range(1195, 200), upTo(1196, 1200))
    t.strictSame(await range(1200, 200), [])
    t.strictSame(await range(2_147_483_647, 200), [])
  })

  t.test('tells nothing of an order that is not there, whatever its id says', async (t) => {
    const { service, store, org } = await start(t)
    await store.append(await makeEvents(service, org, 'a', 1))
    for (const id of ['b', '', "a' OR 'a' = 'a", 'a" OR true --', '@order_id', 'a.1', '%', 'a/../a']) {
      t.strictSame(await store.read(org, id, all), [], id)
    }
  })
}
