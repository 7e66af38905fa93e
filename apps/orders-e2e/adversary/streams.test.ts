import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { freeze } from '../src/faults/frozen-postgres.ts'
import { send } from '../src/faults/http.ts'
import { type Service, serve } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

const searchesAtOnce = 24
const streamsAtOnce = 24
const reconnecting = 3
/** Milliseconds of a service that must stay alive. One that is broken ends in less. */
const attackMs = 10_000
/** Milliseconds in which every stream gets two heartbeats, which look for new events. */
const frozenMs = 22_000
const giveUpMs = 60_000
const broken = preloaded('without-catch.ts')
// So that the searches take all connections, as they did without limits.
const unlimited = { CONCURRENCY_LIMITS: 'scans=100,org-scans=100,user-scans=100', DATABASE_POOL_MAX: '4' }
t.setTimeout(280_000)

/** Opens a stream and drops it after some milliseconds, or waits until it ends. */
function openStream(url: string, dropMs: number): Promise<void> {
  return new Promise((resolve) => {
    const request = get(`${url}/orders/stream`, { agent: false }, (answer) => answer.resume())
    const late = setTimeout(() => request.destroy(), dropMs)
    request.on('error', () => {})
    request.on('close', () => {
      clearTimeout(late)
      resolve()
    })
  })
}

/** Repeats the work in so many places until the process has ended, or the time is over. Resolves to whether it ended. */
async function repeat(service: Service, ms: number, places: [count: number, work: () => Promise<unknown>][]) {
  let [running, ended] = [true, false]
  const end = service.exited.then(() => {
    ended = true
  })
  const loops = places.flatMap(([count, work]) =>
    Array.from({ length: count }, async () => {
      for (; running; await delay(20)) await work().catch(() => {})
    }),
  )
  const over = new AbortController()
  await Promise.race([end, delay(ms, undefined, { signal: over.signal })])
  over.abort()
  running = false
  await Promise.all(loops)
  return ended
}

/** Searches that take all connections, and streams that are opened and dropped meanwhile. */
async function exhaust(t: Test, settings: Record<string, string>, ms: number) {
  const cluster = await createCluster(t)
  const service = await serve(t, { DATABASE_URL: cluster.url, ...unlimited, ...settings })
  const admin = await connect(t, cluster.url)
  const { rows } = await admin.query<{ id: string }>("SELECT id FROM organisations WHERE slug = 'default'")
  const orgId = rows[0]?.id
  await admin.query(
    "INSERT INTO orders (org_id, id, amount, currency) SELECT $1, 'o-' || i, 1, 'EUR' FROM generate_series(1, 2000) AS i",
    [orgId],
  )
  await admin.query('CREATE POLICY slow ON orders AS RESTRICTIVE FOR SELECT USING (pg_sleep(0.001) IS NOT NULL)')
  const ended = await repeat(service, ms, [
    [searchesAtOnce, () => send(`${service.url}/orders?q=nothing-${Math.random()}`)],
    [streamsAtOnce, () => openStream(service.url, 200)],
    [1, () => admin.query("SELECT pg_notify('events', $1)", [orgId])],
  ])
  return { service, ended }
}

/** Three clients that reconnect to the stream while PostgreSQL does not answer. */
async function freezeUnderStreams(t: Test, settings: Record<string, string>, ms: number) {
  const cluster = await createCluster(t)
  const service = await serve(t, { DATABASE_URL: cluster.url, ...settings })
  const thaw = await freeze(await connect(t, cluster.url))
  try {
    const ended = await repeat(service, ms, [[reconnecting, () => openStream(service.url, giveUpMs)]])
    return { service, ended }
  } finally {
    thaw()
  }
}

async function assertServes(t: Test, url: string) {
  for (const giveUpAt = performance.now() + giveUpMs; performance.now() < giveUpAt; await delay(100)) {
    const { status } = await send(`${url}/orders?limit=1`)
    if (status === 200) return t.pass('it serves again')
  }
  return t.fail('it does not serve again')
}

for (const [name, attack, ms] of [
  ['24 concurrent searches while streams are opened and dropped', exhaust, attackMs],
  ['three clients that reconnect while PostgreSQL is frozen', freezeUnderStreams, frozenMs],
] as const) {
  t.test(`${name} do not end the process`, async (t) => {
    const { service, ended } = await attack(t, {}, ms)

    t.notOk(ended, service.output.stderr)
    t.match(
      (await send(`${service.url}/metrics`)).body,
      /^orders_unhandled_errors_total\{kind="unhandledRejection"\} 0$/m,
    )
    await assertServes(t, service.url)
  })

  t.test(`${name} end a process that leaves a rejection unhandled`, async (t) => {
    const { service, ended } = await attack(t, { ...broken, DRAIN_DELAY_MS: '0' }, giveUpMs)

    t.ok(ended)
    t.match(service.output.stdout, /an unhandled error ends this process/)
  })
}
