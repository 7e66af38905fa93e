import { CosmosClient } from '@azure/cosmos'
import t from 'tap'
import { createCosmosHistory } from '../src/history/cosmos.ts'
import type { StoredEvent } from '../src/history/event-store.ts'
import { all, sequences, start } from './history/start.ts'
import { until } from './service.ts'

t.test('waits as long as it is told to, and asks again', async (t) => {
  const { account, store, away, org, make } = await start(t)
  const [event] = await make('a', 1)
  t.ok(event)
  const busy = { status: 429, headers: { 'x-ms-retry-after-ms': '150' } }
  account.plan(busy, busy)
  const before = performance.now()
  t.strictSame(await store.append(event ? [event] : []), [undefined])
  t.ok(performance.now() - before >= 290, 'waited twice')
  account.plan(busy)
  t.strictSame(await sequences(store, org, 'a'), [1])
  t.strictSame(
    account.requests.filter((kind) => kind === 'upsert' || kind === 'query'),
    ['upsert', 'upsert', 'upsert', 'query', 'query', 'query'],
    'the third query is for the page behind the empty one',
  )
  t.strictSame(away, [])
})

t.test('the fault of one event is its own', async (t) => {
  const { account, store, away, make } = await start(t)
  const events = await make('a', 5)
  for (const status of [400, 409, 412, 413, 449]) account.plan({ status })
  const outcomes = await store.append(events)
  t.strictSame(outcomes.map((outcome) => /planned (\d+)/.exec(outcome?.message ?? '')?.[1]).sort(), [
    '400',
    '409',
    '412',
    '413',
    '449',
  ])
  t.strictSame(await store.append(events), Array(5).fill(undefined))
  t.strictSame(away, [])
})

for (const [name, status] of [
  ['forbids', 403],
  ['is unavailable', 503],
  ['fails', 500],
  ['is missing', 404],
] as const) {
  t.test(`an account that ${name} is not asked again for a while`, async (t) => {
    const { account, store, away, org, make } = await start(t, { pauseMs: 1000 })
    const events = await make('a', 100)
    await store.append(events.slice(0, 1))
    account.requests.length = 0
    account.plan(...Array(16).fill({ status }))
    const outcomes = await store.append(events)
    t.equal(outcomes.filter(Boolean).length, 100, 'none was taken')
    t.ok(account.requests.length <= 32, `asked ${account.requests.length} times`)
    t.strictSame(away, [`planned ${status}`], 'told once')
    await t.rejects(store.read(org, 'a', all), { message: /was not asked/ })
    await until(async () => (await store.append(events)).every((outcome) => outcome === undefined))
    t.strictSame(
      await sequences(store, org, 'a'),
      events.map(({ sequence }) => sequence),
    )
  })
}

t.test('an account that is gone, or silent, keeps nobody for long', async (t) => {
  const { account, store, org, make } = await start(t, { patienceMs: 400, pauseMs: 1 })
  const events = await make('a', 1)
  const askedNow = async () => {
    const before = performance.now()
    const [outcome] = await store.append(events)
    t.ok(performance.now() - before < 1500, 'within 1.5 s')
    return outcome?.message ?? 'taken'
  }
  const asked = async () => {
    let said = ''
    await until(async () => {
      said = await askedNow()
      return !/was not asked/.test(said)
    })
    return said
  }
  account.plan('silence')
  await t.rejects(store.read(org, 'a', all), { message: /400 ms/ })
  account.plan('silence')
  t.match(await asked(), /did not answer within 400 ms|took more than 400 ms/)
  account.plan({ status: 429, headers: { 'x-ms-retry-after-ms': '2000' } })
  t.match(await asked(), /did not answer within 400 ms/)
  await account.stop()
  t.match(await asked(), /ECONNREFUSED/)
  await account.restart()
  t.equal(await asked(), 'taken')
  t.strictSame(await sequences(store, org, 'a'), [1])
})

t.test('the stand-in refuses what the service refuses', async (t) => {
  const { account, store, make } = await start(t)
  const [event] = await make('a', 1)
  const outcomeOf = async (change: object) => (await store.append([{ ...event, ...change } as StoredEvent]))[0]?.message
  for (const id of ['a/1', 'a\\1', 'a#1', 'a?1']) t.match(await outcomeOf({ id }), /illegal char/)
  t.match(await outcomeOf({ id: 'ü'.repeat(512) }), /too long/)
  t.equal(await outcomeOf({ id: 'ü'.repeat(511) }), undefined)
  t.match(await outcomeOf({ org_id: undefined }), /PartitionKey/)
  t.match(await outcomeOf({ data: { filling: 'x'.repeat(2 ** 21) } }), /too large/)
  const { endpoint, agent, credential } = account.settings
  const connectionPolicy = { enableEndpointDiscovery: false }
  const { items } = new CosmosClient({ endpoint, agent, aadCredentials: credential, connectionPolicy })
    .database('orders')
    .container('order-events')
  const item = { id: 'x', org_id: 'o' }
  await items.create(item)
  await t.rejects(items.create(item), { code: 409 })
  await t.rejects(items.upsert(item, { accessCondition: { type: 'IfMatch', condition: 'old' } }), { code: 412 })
  const query = (text: string, options = {}) => items.query(text, options).fetchAll()
  await t.rejects(query("SELECT * FROM c WHERE c.id = 'x' ORDER BY c.id", { partitionKey: 'o' }), { code: 400 })
  await t.rejects(query('SELECT * FROM c WHERE c.id = @id ORDER BY c.id', { partitionKey: 'o' }), { code: 400 })
  const stranger = { getToken: async () => ({ token: 'another', expiresOnTimestamp: Date.now() + 3_600_000 }) }
  const refused = createCosmosHistory({ ...account.settings, credential: stranger, onAway: () => {} })
  t.match((await refused.append(event ? [event] : []))[0]?.message, /Unauthorized/)
})
