import { spawnSync } from 'node:child_process'
import { connectionOptions, openDatabase } from '@orders/database'
import pg from 'pg'
import t from 'tap'
import { appendFirst } from '../src/history/append-first.ts'
import { createMergedHistory, createPostgresHistory } from '../src/history/event-store.ts'
import { createOrders } from '../src/orders.ts'
import { createProcessing } from '../src/process-events.ts'
import { createRelay } from '../src/relay.ts'
import { keepsTheContract, makeEvents } from './history/contract.ts'
import { all, openCosmos, sequences, start } from './history/start.ts'
import { rowsOf, until } from './service.ts'

t.test('in PostgreSQL', async (t) => keepsTheContract(t, async (_t, { database }) => createPostgresHistory(database)))

t.test('in Cosmos DB', async (t) => keepsTheContract(t, async (t) => (await openCosmos(t)).store))

t.test('in Cosmos DB, before PostgreSQL', async (t) =>
  keepsTheContract(t, async (t, { database }) =>
    createMergedHistory((await openCosmos(t)).store, createPostgresHistory(database)),
  ),
)

t.test('a copy that lags, has gaps or is away shows in no reading', async (t) => {
  const { account, store, service, org, make, database } = await start(t, { pauseMs: 1 })
  const original = createPostgresHistory(database)
  const merged = createMergedHistory(store, original)
  const events = await make('a', 30)
  const same = async (what: string) => {
    for (const range of [all, { after: 3, limit: 4 }, { after: 3, limit: 10 }, { after: 25, limit: 200 }]) {
      t.strictSame(await merged.read(org, 'a', range), await original.read(org, 'a', range), what)
    }
  }
  await same('empty')
  await merged.append(events.slice(4))
  await same('without the first ones')
  await merged.append(events.slice(0, 20))
  account.lose(org, 'a.7')
  account.lose(org, 'a.28')
  await same('with gaps')
  await merged.append(events)
  await makeEvents(service, org, 'b', 2)
  t.strictSame(await sequences(merged, org, 'b'), [1, 2], 'read after write')
  const none = { ...original, read: () => t.fail('asked PostgreSQL') as never }
  t.strictSame(
    await sequences(createMergedHistory(store, none), org, 'a', { after: 0, limit: 30 }),
    events.map(({ sequence }) => sequence),
  )
  await account.stop()
  await same('away')
})

t.test('the relay appends each event before it is handed on, and waits for no copy', async (t) => {
  const { account, store, service, org, orders, database, url } = await start(t, { pauseMs: 1 })
  const pool = new pg.Pool(connectionOptions(url, { role: 'orders_worker' }))
  t.teardown(() => pool.end())
  const { processEvents } = createProcessing({ database, onEvents: () => {} })
  const copied: number[] = []
  const handOn = appendFirst(store, async (events) => {
    for (const { id } of events) copied.push((await sequences(store, org, id).catch(() => [])).length)
    return processEvents(events)
  })
  const relay = createRelay({ database: openDatabase(pool, () => {}), handOn, retryPauses: [1, 1] })
  const settle = () =>
    until(async () => {
      while ((await relay.move()) + (await relay.relay()) > 0);
      return (await relay.lag()).queue === 0
    })

  await orders.placeOrder(org, { id: 'a', amount: 1 })
  await settle()
  t.strictSame(copied, [1, 2], 'placed, and confirmed by the worker')
  t.strictSame(await store.read(org, 'a', all), (await orders.listEvents(org, 'a')).events)

  account.plan({ status: 503 })
  await orders.placeOrder(org, { id: 'b', amount: 1 })
  await relay.move()
  t.equal(await relay.relay(), 1)
  t.match(await orders.getOrder(org, 'b'), { status: 'confirmed' }, 'by the attempt that Cosmos DB did not take')
  t.match(await rowsOf(service.admin, 'SELECT order_id, attempts, reason FROM event_queue'), [
    { order_id: 'b', attempts: 1, reason: 'The history did not take it: planned 503' },
  ])
  await settle()
  t.strictSame(await store.read(org, 'b', all), (await orders.listEvents(org, 'b')).events)
  t.match(await orders.getOrder(org, 'b'), { version: 2 }, 'confirmed once')

  await account.stop()
  await orders.placeOrder(org, { id: 'c', amount: 1 })
  await settle()
  t.match(await orders.getOrder(org, 'c'), { status: 'confirmed' })
  t.match(await relay.lag(), { queue: 0, dead_letters: 2 }, 'both events of it are kept with the reason')
})

t.test('histories are read where they are kept, and an unknown order is not found', async (t) => {
  const { store, org, make, database } = await start(t)
  const history = createMergedHistory(store, createPostgresHistory(database))
  const options = { defaultCurrency: 'EUR', answerFor: () => t.fail() as never, onBatch: () => {}, onEvents: () => {} }
  const orders = await createOrders({ database, history, ...options })
  t.teardown(orders.idle)
  const events = await make('a', 3)
  // Changed, so that it is seen to come from the copy.
  await store.append(events.map((event) => ({ ...event, occurred_at: 'then' })))
  t.match((await orders.listEvents(org, 'a')).events, [
    { occurred_at: 'then' },
    { occurred_at: 'then' },
    { occurred_at: 'then' },
  ])
  t.strictSame(await orders.listEvents(org, 'a', { after: 3 }), { events: [], hasMore: false })
  await t.rejects(orders.listEvents(org, 'b'), { code: 'ORDER_NOT_FOUND' })
})

t.test('without an endpoint nothing of Azure is imported', async (t) => {
  const imported = (endpoint: string) => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', probe, endpoint], {
      cwd: import.meta.dirname,
      encoding: 'utf8',
    })
    return stdout + stderr
  }
  const probe = `import { registerHooks } from 'node:module'
    const found = []
    registerHooks({ resolve(name, context, next) { if (name.startsWith('@azure/')) found.push(name); return next(name, context) } })
    const { openHistory } = await import('@orders/orders')
    const cosmosEndpoint = process.argv[1] || undefined
    await openHistory({ cosmosEndpoint, cosmosDatabase: 'orders', onAway() {} }).catch((error) => console.log(error.message))
    console.log(String(found.length))`
  t.equal(imported(''), '0\n')
  t.match(imported('https://localhost/'), /^HISTORY_COSMOS_ENDPOINT needs a workload identity: .*\n[1-9]\d*\n$/)
})
