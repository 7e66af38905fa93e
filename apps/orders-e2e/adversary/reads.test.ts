import http from 'node:http'
import { createScratchDatabase } from '@orders/database/testing'
import type { Client } from 'pg'
import t, { type Test } from 'tap'
import { startAttack } from '../src/faults/attackers.ts'
import { preloaded } from '../src/faults/break-sources.ts'
import { until } from '../src/faults/careless-database.ts'
import { type Guest, newGuestKeys, signIn } from '../src/faults/guests.ts'
import { keepAlive, send } from '../src/faults/http.ts'
import { serve } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

const ordersOfNoisy = 150_000
const days = 300
const attackers = 16
const rounds = 60
/** So many show that the service fails; each takes seconds. */
const maxFailures = 3
/** p99 of the quiet organisation during the attack is at most this many times its p99 before. */
const maxSlowdown = 3
/** Below this many milliseconds, the difference is that of a busy machine. */
const floorMs = 100
t.setTimeout(280_000)

/** A guest with many orders and a guest with few, in one database for all tests. */
async function prepare(t: Test) {
  const { url: DATABASE_URL } = await createScratchDatabase(t)
  const settings = { DATABASE_URL, GUEST_KEYS: newGuestKeys(), RATE_LIMITS: 'off' }
  const { url } = await serve(t, settings)
  const [noisy, quiet] = [await signIn(url), await signIn(url)]
  const admin = await connect(t, DATABASE_URL)
  await admin.query('SET synchronous_commit = off')
  await admin.query(
    `INSERT INTO orders (org_id, id, amount, currency, description, created_at)
      SELECT $1, 'n-' || i, 1 + i % 1000, CASE i % 3 WHEN 0 THEN 'USD' ELSE 'EUR' END, 'Order number ' || i,
        now() - i * interval '${days} days' / ${ordersOfNoisy}
      FROM generate_series(1, ${ordersOfNoisy}) AS i`,
    [noisy.orgId],
  )
  await admin.query('ANALYZE orders')
  return { url, settings, noisy, quiet, admin }
}

const prepared = await prepare(t)

/** Places, reads and lists orders, one request after the other: failures, and the time that the slowest hundredth takes. */
async function use(url: string, { authorization }: Guest) {
  const times: number[] = []
  const failures: string[] = []
  const agent = keepAlive()
  const call = async (path: string, body?: object) => {
    const began = performance.now()
    const method = body ? 'POST' : 'GET'
    const options = { method, headers: { authorization }, agent, timeoutMs: 30_000, ...(body && { body }) } as const
    const answer = await send(`${url}/api/v1${path}`, options).catch((error: Error) => error)
    times.push(performance.now() - began)
    if (answer instanceof Error || answer.status >= 400) failures.push(`${method} ${path} ${JSON.stringify(answer)}`)
    return answer instanceof Error ? undefined : answer
  }
  for (let round = 0; round < rounds && failures.length < maxFailures; round++) {
    const placed = await call('/orders', { amount: 1 })
    if (placed?.status === 201) await call(`/orders/${JSON.parse(placed.body).id}`)
    await call('/orders?limit=20')
  }
  agent.destroy()
  return { failures, p99: times.sort((a, b) => a - b)[Math.ceil(times.length * 0.99) - 1] ?? 0 }
}

async function compare(t: Test, url: string, kind: 'statistics' | 'searches') {
  const { noisy, quiet } = prepared
  await use(url, quiet) // connections and plans
  const before = await use(url, quiet)
  const to = Date.now()
  const range = { from: to - days * 86_400_000, to }
  const attacking = await startAttack({ url, authorization: noisy.authorization, kind, clients: attackers, range })
  const during = await use(url, quiet)
  const statuses = await attacking.stop()
  t.comment(`p99 ${Math.round(before.p99)} ms before, ${Math.round(during.p99)} ms during the attack`)
  t.comment(`the attackers got ${JSON.stringify(statuses)}`)
  t.strictSame(before.failures, [])
  return { ...during, allowed: Math.max(maxSlowdown * before.p99, floorMs), statuses }
}

for (const kind of ['statistics', 'searches'] as const) {
  t.test(`16 concurrent ${kind} of one organisation fail no request of another`, async (t) => {
    const { failures, p99, allowed, statuses } = await compare(t, prepared.url, kind)

    t.strictSame(failures, [])
    t.ok(p99 <= allowed, `p99 ${Math.round(p99)} ms of at most ${Math.round(allowed)} ms`)
    t.strictSame(
      Object.keys(statuses).filter((status) => !/^(200|429|503)$/.test(status)),
      [],
    )
  })
}

t.test('PostgreSQL cancels a search whose client has left', async (t) => {
  const { url, noisy, admin } = prepared
  await slowDown(admin)
  t.teardown(() => admin.query('DROP POLICY slow ON orders'))
  for (let n = 0; n < 4; n++) {
    const request = http.get(`${url}/api/v1/orders?q=nothing-${n}`, {
      headers: { authorization: noisy.authorization },
      agent: false,
    })
    request.on('error', () => {})
    await until(async () => (await ageOfSearch(admin)) !== undefined)
    request.destroy()
    let oldest = 0
    await until(async () => {
      const age = await ageOfSearch(admin)
      oldest = Math.max(oldest, age ?? 0)
      return age === undefined
    })
    t.ok(oldest < 3.5, `it ran for ${oldest} s, and may run for 4 s`)
  }
})

t.test('without the limits, the same searches fail or delay requests of another organisation', async (t) => {
  const limits = { CONCURRENCY_LIMITS: 'scans=100,org-scans=100,user-scans=100', DATABASE_POOL_MAX: '4' }
  const { url } = await serve(t, { ...prepared.settings, ...limits, ...preloaded('without-rests.ts') })

  const { failures, p99, allowed } = await compare(t, url, 'searches')

  t.ok(failures.length > 0 || p99 > allowed, `${failures.length} failures, p99 ${Math.round(p99)} ms`)
})

/** Each row that is read takes a millisecond. */
async function slowDown(admin: Client): Promise<void> {
  await admin.query('CREATE POLICY slow ON orders AS RESTRICTIVE FOR SELECT USING (pg_sleep(0.001) IS NOT NULL)')
}

/** Seconds since the oldest search began, by the clock of PostgreSQL; undefined if none runs. */
async function ageOfSearch(admin: Client): Promise<number | undefined> {
  const { rows } = await admin.query<{ age: number }>(
    `SELECT extract(epoch FROM clock_timestamp() - query_start)::float8 AS age FROM pg_stat_activity
      WHERE application_name = 'orders' AND state = 'active' AND query LIKE '%ilike%' ORDER BY age DESC LIMIT 1`,
  )
  return rows[0]?.age
}
