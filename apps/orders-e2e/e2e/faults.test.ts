import { setTimeout as delay } from 'node:timers/promises'
import { createCluster, createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { delayCommits, placeCarelessly } from '../src/faults/careless-database.ts'
import { check } from '../src/faults/checker.ts'
import { freeze } from '../src/faults/frozen-postgres.ts'
import { place, send } from '../src/faults/http.ts'
import type { Journal } from '../src/faults/journal.ts'
import { type Load, startLoad } from '../src/faults/load.ts'
import { startReadinessProxy } from '../src/faults/readiness-proxy.ts'
import { type Service, serve, startService } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'
import { supervise } from '../src/faults/supervisor.ts'

const databaseKills = 10
const apiKills = 10
const rollouts = 5
const ordersBetweenFaults = 150
const none = { lost: 0, duplicates: 0, incomplete: 0, contradicted: 0, stray: 0 }
t.setTimeout(600_000)
const table: Record<string, number>[] = []

async function report(name: string, load: Load, url: string, faults: number) {
  await load.stop()
  const { journal } = load
  const verdict = await check(url, journal.entries)
  const { acknowledged, ...found } = verdict
  const outage = Math.round(journal.longestOutage)
  table.push({ [name]: faults, acknowledged, retried: journal.failures.length, ...found, 'longest outage ms': outage })
  return { journal, acknowledged, found }
}

t.teardown(() => {
  for (const row of table)
    t.comment(
      Object.entries(row)
        .map(([name, value]) => `${name} ${value}`)
        .join(', '),
    )
})

t.test('kill -9 of PostgreSQL under load loses nothing, and the API outlives it', async (t) => {
  const cluster = await createCluster(t)
  const service = await serve(t, { DATABASE_URL: cluster.url })
  const load = startLoad(service.url)
  for (let kills = 0; kills < databaseKills; kills++) {
    await load.acknowledgedMore(ordersBetweenFaults)
    await cluster.kill()
    const refused = await place(service.url, `outage-${kills}-0123456789`, { amount: 1 })
    t.equal(refused.status, 503)
    t.match(refused.headers, { 'content-type': /^application\/problem\+json/, 'retry-after': /^[1-9]\d*$/ })
    t.match(JSON.parse(refused.body), { error: 'DATABASE_UNAVAILABLE', status: 503 })
    t.equal((await send(`${service.url}/readyz`)).status, 200, 'stays ready, so that callers get that answer')
    await cluster.restart()
  }
  await load.acknowledgedMore(ordersBetweenFaults)
  const { journal, acknowledged, found } = await report('kills of PostgreSQL', load, cluster.url, databaseKills)
  t.ok(acknowledged > databaseKills * ordersBetweenFaults)
  t.strictSame(found, none)
  const unexplained = journal.failures.filter(
    ({ answer }) => ![409, 503].includes(answer?.status ?? 0) || !answer?.headers['retry-after'],
  )
  t.strictSame(unexplained.slice(0, 3), [], 'each request was answered, and told to come again')
  const health = await send(`${service.url}/livez`)
  t.equal(health.status, 200, 'the process that was started first still serves')
})

t.test('a PostgreSQL that hangs leaves the API ready', async (t) => {
  const cluster = await createCluster(t)
  const service = await serve(t, { DATABASE_URL: cluster.url })
  // So that connections are open which hang, rather than ones that cannot be opened.
  await Promise.all(Array.from({ length: 30 }, (_, index) => send(`${service.url}/orders?limit=${index + 1}`)))
  const thaw = await freeze(await connect(t, cluster.url))
  t.teardown(thaw)
  const request = send(`${service.url}/orders/none`)
  await delay(500) // both would wait as long for their queries: without this, the probe could be the first
  const probe = send(`${service.url}/readyz`)
  t.equal(await Promise.race([request, probe]), await probe, 'a probe does not wait as long as a request')
  t.match(await probe, { status: 200, body: /"database":"unreachable"/ })
  t.match(await request, { status: 503, headers: { 'retry-after': /^[1-9]\d*$/ } })
})

t.test('kill -9 of the API under load loses nothing', async (t) => {
  const { url } = await createScratchDatabase(t)
  const first = startService({ DATABASE_URL: url })
  const address = await first.ready()
  first.kill('SIGKILL')
  await first.exited
  const supervisor = await supervise(() => startService({ DATABASE_URL: url, PORT: new URL(address).port }))
  t.teardown(supervisor.stop)
  const load = startLoad(address)
  for (let kills = 0; kills < apiKills; kills++) {
    await load.acknowledgedMore(ordersBetweenFaults)
    await supervisor.kill()
  }
  await load.acknowledgedMore(ordersBetweenFaults)
  const { acknowledged, found, journal } = await report('kills of the API', load, url, apiKills)
  t.ok(acknowledged > apiKills * ordersBetweenFaults)
  t.ok(journal.failures.length > 0, 'the kills hit requests')
  t.strictSame(found, none)
})

t.test('rolling restarts behind a proxy fail no request', async (t) => {
  const { url } = await createScratchDatabase(t)
  const settings = { DATABASE_URL: url, DRAIN_DELAY_MS: '1000' }
  const running = new Map<string, Service>()
  for (const service of [await serve(t, settings), await serve(t, settings)]) running.set(service.url, service)
  const backends = [...running.keys()]
  const proxy = await startReadinessProxy(backends)
  t.teardown(proxy.close)
  for (const backend of backends) await proxy.until(backend, true)
  const load = startLoad(proxy.url)
  for (let rollout = 0; rollout < rollouts; rollout++) {
    for (const backend of backends) {
      await load.acknowledgedMore(ordersBetweenFaults)
      const old = running.get(backend)
      old?.kill('SIGTERM')
      await proxy.until(backend, false)
      t.strictSame(await old?.exited, { code: 0, signal: null })
      running.set(backend, await serve(t, { ...settings, PORT: new URL(backend).port }))
      await proxy.until(backend, true)
    }
  }
  await load.acknowledgedMore(ordersBetweenFaults)
  const { found, journal } = await report('rolling restarts', load, url, rollouts * backends.length)
  t.strictSame(failuresByKind(journal), {}, 'no client saw a failure')
  t.strictSame(found, none)
})

t.test('the same proxy shows what a restart without a drain fails', async (t) => {
  const { url } = await createScratchDatabase(t)
  const settings = { DATABASE_URL: url, DRAIN_DELAY_MS: '0' }
  const services = [await serve(t, settings), await serve(t, settings)]
  const proxy = await startReadinessProxy(services.map((service) => service.url))
  t.teardown(proxy.close)
  for (const service of services) await proxy.until(service.url, true)
  const load = startLoad(proxy.url)
  await load.acknowledgedMore(ordersBetweenFaults)
  proxy.hearNothing()
  services[0]?.kill('SIGTERM')
  t.strictSame(await services[0]?.exited, { code: 0, signal: null })
  await load.acknowledgedMore(ordersBetweenFaults)
  const { found, journal } = await report('restarts without a drain', load, url, 1)
  t.ok(journal.failures.length > 0, 'requests reached the ended service')
  t.strictSame(found, none, 'what failed was placed once by the repetition')
})

t.test('the checker sees orders that a crash undid', async (t) => {
  const cluster = await createCluster(t)
  const service = await serve(t, { DATABASE_URL: cluster.url })
  const client = await connect(t, cluster.url)
  await delayCommits(client)
  await placeCarelessly(client)
  const load = startLoad(service.url)
  let lost = 0
  for (let round = 0; round < 5 && lost === 0; round++) {
    await load.acknowledgedMore(ordersBetweenFaults)
    await cluster.kill()
    await cluster.restart()
    const { entries } = load.journal
    lost = (
      await check(
        cluster.url,
        entries.filter(({ answer }) => answer),
      )
    ).lost
  }
  await load.stop()
  t.ok(lost > 0, `${lost} lost`)
})

t.test('the checker sees orders that were placed twice', async (t) => {
  const { url } = await createScratchDatabase(t)
  const service = await serve(t, { DATABASE_URL: url })
  const client = await connect(t, url)
  await client.query('ALTER TABLE idempotency_records DROP CONSTRAINT idempotency_records_pkey')
  const load = startLoad(service.url)
  // Each client has sent its eleventh order twice by then, the first repeated one whose id the service chose.
  await load.acknowledgedMore(3 * ordersBetweenFaults)
  await load.stop()
  const verdict = await check(url, load.journal.entries)
  t.ok(verdict.duplicates > 0, `${verdict.duplicates} duplicates`)
  t.ok(verdict.contradicted > 0, 'a repeated key was answered with another order')
})

t.test('the checker sees what is missing from an order', async (t) => {
  const { url } = await createScratchDatabase(t)
  const service = await serve(t, { DATABASE_URL: url })
  const load = startLoad(service.url)
  await load.acknowledgedMore(ordersBetweenFaults)
  await load.stop()
  const { entries } = load.journal
  t.match(await check(url, entries), none)
  const ids = entries.map(({ answer }) => JSON.parse(answer?.body ?? '{}').id)
  const client = await connect(t, url)
  await client.query('DELETE FROM order_events e USING orders o WHERE e.order_number = o.number AND o.id = $1', [
    ids[0],
  ])
  await client.query(
    'UPDATE outbox SET order_ids = array_remove(order_ids, $1), events = events - 1 WHERE $1 = ANY (order_ids)',
    [ids[1]],
  )
  await client.query('DELETE FROM idempotency_records WHERE key = $1', [entries[2]?.key])
  await client.query(
    'INSERT INTO outbox (org_id, sequence, order_ids) SELECT org_id, 1, ARRAY[id] FROM orders WHERE id = $1',
    [ids[3]],
  )
  t.match(await check(url, entries), { ...none, incomplete: 4 })
  await client.query('UPDATE orders SET amount = amount + 1 WHERE id = $1', [ids[4]])
  t.match(await check(url, entries), { ...none, incomplete: 4, lost: 1 })
  await client.query('DELETE FROM orders WHERE id = $1', [ids[5]])
  t.match(await check(url, entries), { ...none, incomplete: 4, lost: 2, stray: 3 })
})

/** How often each status, with its code, or each error of the connection came. */
function failuresByKind({ failures }: Journal): Record<string, number> {
  const kinds: Record<string, number> = {}
  for (const { answer, error } of failures) {
    const kind = answer ? `${answer.status} ${/"error":"(\w+)"/.exec(answer.body)?.[1] ?? answer.body}` : String(error)
    kinds[kind] = (kinds[kind] ?? 0) + 1
  }
  return kinds
}
