import { type Cluster, createCluster } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { breakConnections, delayCommits, placeCarelessly, until } from '../src/faults/careless-database.ts'
import { check } from '../src/faults/checker.ts'
import { place, send } from '../src/faults/http.ts'
import { type Load, startLoad } from '../src/faults/load.ts'
import { serve } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

const ordersBetweenFaults = 150
const order = { amount: 1 }
t.setTimeout(280_000)

/** How many acknowledged orders the database has not. */
async function countLost({ url }: Cluster, { journal }: Load): Promise<number> {
  const acknowledged = journal.entries.filter(({ answer }) => answer)
  return (await check(url, acknowledged)).lost
}

async function isRefused(url: string): Promise<boolean> {
  const { status, body } = await place(url, `probe-${Math.random()}-0123456789`.replace('.', '-'), order)
  return status === 503 && JSON.parse(body).error === 'DURABILITY_LOST'
}

async function assertRefused(t: Test, url: string) {
  const refused = await place(url, 'refused-0123456789', order)
  t.match(refused.headers, { 'content-type': /^application\/problem\+json/, 'retry-after': /^[1-9]\d*$/ })
  t.match(JSON.parse(refused.body), { error: 'DURABILITY_LOST', status: 503 })
  t.equal((await send(`${url}/orders?limit=1`)).status, 200, 'reads work')
  t.match(await send(`${url}/readyz`), { status: 200, body: /"database":"not durable"/ })
  t.match((await send(`${url}/metrics`)).body, /^orders_database_durable 0$/m)
}

t.test('a server that stops being durable under load loses no acknowledged order', async (t) => {
  const cluster = await createCluster(t, { durable: 'configured' })
  const service = await serve(t, { DATABASE_URL: cluster.url })
  const admin = await connect(t, cluster.url)
  const load = startLoad(service.url)
  await load.acknowledgedMore(ordersBetweenFaults)
  await admin.query('ALTER DATABASE orders SET synchronous_commit = off')
  await admin.query('ALTER SYSTEM SET fsync = off')
  await delayCommits(admin)
  await breakConnections(admin)
  await until(() => isRefused(service.url))
  await assertRefused(t, service.url)

  await cluster.kill()
  await cluster.restart()

  t.equal(await countLost(cluster, load), 0, `of ${load.journal.acknowledged} acknowledged orders`)
  await until(() => isRefused(service.url)) // the server has the same settings
  const again = await connect(t, cluster.url)
  await again.query('ALTER SYSTEM RESET fsync')
  await again.query('SELECT pg_reload_conf()')
  await load.acknowledgedMore(ordersBetweenFaults)
  await load.stop()
  t.match((await send(`${service.url}/metrics`)).body, /^orders_database_durable 1$/m)
  t.equal(await countLost(cluster, load), 0)
  const lines = service.output.stdout.split('\n').filter((line) => line.includes('the database is not durable'))
  t.equal(lines.length, 1, 'logged once')
})

t.test('a failover to a server that is not durable loses no acknowledged order', async (t) => {
  const cluster = await createCluster(t)
  const service = await serve(t, { DATABASE_URL: cluster.url })
  const load = startLoad(service.url)
  await load.acknowledgedMore(ordersBetweenFaults)
  await cluster.shutdown()
  await cluster.restart({ durable: false })
  await until(() => isRefused(service.url))
  const acknowledged = load.journal.acknowledged
  await assertRefused(t, service.url)
  t.equal(load.journal.acknowledged, acknowledged, 'no write is acknowledged')

  await cluster.kill()
  await cluster.restart()

  await load.acknowledgedMore(ordersBetweenFaults)
  await load.stop()
  t.equal(await countLost(cluster, load), 0, `of ${load.journal.acknowledged} acknowledged orders`)
})

t.test('without the check, the same kill loses acknowledged orders', async (t) => {
  const cluster = await createCluster(t)
  const service = await serve(t, { DATABASE_URL: cluster.url })
  const admin = await connect(t, cluster.url)
  await delayCommits(admin)
  await placeCarelessly(admin) // the check cannot see this
  const load = startLoad(service.url)
  let lost = 0
  for (let round = 0; round < 5 && lost === 0; round++) {
    await load.acknowledgedMore(ordersBetweenFaults)
    await cluster.kill()
    await cluster.restart()
    lost = await countLost(cluster, load)
  }
  await load.stop()
  t.ok(lost > 0, `${lost} lost`)
})
