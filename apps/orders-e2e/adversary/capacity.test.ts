import { createScratchDatabase } from '@orders/database/testing'
import pg from 'pg'
import t, { type Test } from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { until } from '../src/faults/careless-database.ts'
import { call, type Guest, newGuestKeys, setRole, signIn } from '../src/faults/guests.ts'
import { send } from '../src/faults/http.ts'
import { type Open, openResponse, placeLarge } from '../src/faults/open-response.ts'
import { serve } from '../src/faults/service-process.ts'

/** The most streams and exports that a process with ten connections serves. */
const [allStreams, allExports] = [1500, 3]
/** Requests that are sent at once. */
const burst = 100
/** Heartbeats of a stream, one every 10 s, in which a service cuts off a client that does not read. */
const heartbeats = 2
/** Connections of a guest whose writes are refused, and how many writes. */
const [attackers, refusals] = [64, 640]
/** Connections of twenty: eight of writes that take turns, a batch of each of two locked organisations, and one repair. */
const [manyConnections, heldByLocks] = [{ DATABASE_POOL_MAX: '20' }, 11]
t.setTimeout(240_000)

const { url: DATABASE_URL } = await createScratchDatabase(t)
const admin = new pg.Client({ connectionString: DATABASE_URL })
await admin.connect()
t.teardown(() => admin.end())
const settings = { DATABASE_URL, GUEST_KEYS: newGuestKeys(), RATE_LIMITS: 'off', AUTH_MODE: 'required' }
const { url } = await serve(t, settings)
// Two other members of Ann's organisation, and one of another organisation.
const [ann, bob, cat, eve] = await Promise.all([signIn(url), signIn(url), signIn(url), signIn(url)])
await setRole(url, ann, bob, 'member')
await setRole(url, ann, cat, 'member')
await placeLarge(`${url}/api/v1`, 800, { authorization: ann.authorization })

const openStream = (at: string, { authorization }: Guest) =>
  openResponse(`${at}/api/v1/orders/stream`, { headers: { authorization } })

/** Begins to export the orders of an organisation, and does not read the response. */
const openExport = (at: string, { authorization }: Guest, orgId: string) =>
  openResponse(`${at}/api/v1/orders/export?format=ndjson`, {
    headers: { authorization, 'x-org-id': orgId },
    reads: false,
  })

const quickExport = (at: string, guest: Guest) => call(at, guest, 'GET', '/orders/export?format=csv&q=none')

/** Opens as many responses of a user as a process serves in all, and returns those that begin and those that do not. */
async function openAll(t: Test, count: number, open: () => Promise<Open>) {
  const all: Open[] = []
  t.teardown(() => {
    for (const { request } of all) request.destroy()
  })
  while (all.length < count) {
    const size = Math.min(burst, count - all.length)
    all.push(...(await Promise.all(Array.from({ length: size }, open))))
  }
  const begun = all.filter(({ response }) => response.statusCode === 200)
  const refused = all.filter(({ response }) => response.statusCode !== 200)
  return { begun: begun.length, refused: await Promise.all(refused.map(problemOf)) }
}

async function problemOf({ response, ended }: Open): Promise<{ status: number; error: string; message: string }> {
  response.resume()
  return JSON.parse((await ended).text)
}

t.test('1,500 streams of one user leave room for the streams of others', async (t) => {
  const { begun, refused } = await openAll(t, allStreams, () => openStream(url, ann))
  const other = await openStream(url, eve)
  t.teardown(() => other.request.destroy())

  t.equal(begun, 100)
  const message = 'You may have at most 100 streams at a time on this server.'
  t.match(refused, Array(allStreams - 100).fill({ status: 429, error: 'RATE_LIMITED', message }))
  t.equal(refused.length, allStreams - 100)
  t.equal(other.response.statusCode, 200)
})

t.test('control: without caps of a user, 1,500 streams leave none', async (t) => {
  const CONCURRENCY_LIMITS = `org-streams=${allStreams},user-streams=${allStreams}`
  const service = await serve(t, { ...settings, CONCURRENCY_LIMITS })

  const { begun } = await openAll(t, allStreams, () => openStream(service.url, ann))
  const other = await openStream(service.url, eve)

  t.equal(begun, allStreams)
  t.match(await problemOf(other), { status: 503, error: 'OVERLOADED' })
})

t.test('slow exports of one organisation leave room for the exports of others', async (t) => {
  const { begun, refused } = await openAll(t, allExports, () => openExport(url, ann, ann.orgId))
  const ofMember = await openExport(url, bob, ann.orgId)
  t.teardown(() => ofMember.request.destroy())
  const ofNextMember = await openExport(url, cat, ann.orgId)

  t.equal(begun, 1)
  const message = 'You may have at most 1 export at a time on this server.'
  t.match(refused, Array(allExports - 1).fill({ status: 429, error: 'RATE_LIMITED', message }))
  t.equal(ofMember.response.statusCode, 200)
  t.match(await problemOf(ofNextMember), {
    status: 429,
    message: 'The organisation may have at most 2 exports at a time on this server.',
  })
  t.equal((await quickExport(url, eve)).status, 200)
})

t.test('control: without caps of a user, slow exports leave none', async (t) => {
  const CONCURRENCY_LIMITS = `org-exports=${allExports},user-exports=${allExports}`
  const service = await serve(t, { ...settings, CONCURRENCY_LIMITS })

  const { begun } = await openAll(t, allExports, () => openExport(service.url, ann, ann.orgId))

  t.equal(begun, allExports)
  t.match(await quickExport(service.url, eve), { status: 503, body: /"error":"OVERLOADED"/ })
})

t.test('an export that is read too slowly is cut off, and its user exports again', async (t) => {
  const [paced, unpaced] = await Promise.all([
    serve(t, { ...settings, ...preloaded('quick-read-rate.ts') }),
    serve(t, { ...settings, ...preloaded('quick-read-rate.ts', 'without-read-rate.ts') }),
  ])
  const kept = await openExport(unpaced.url, ann, ann.orgId)
  const stream = await openStream(unpaced.url, ann)
  t.teardown(() => stream.request.destroy())

  const slow = await openExport(paced.url, ann, ann.orgId)
  await until(async () => (await quickExport(paced.url, ann)).status === 200)
  slow.response.resume()
  t.equal((await slow.ended).complete, false)

  t.comment('control: a service without a minimum read rate')
  await until(async () => stream.text().split(':\n\n').length > heartbeats)
  t.equal((await quickExport(unpaced.url, ann)).status, 429)
  kept.response.resume()
  t.equal((await kept.ended).complete, true)
})

/** Repeats a project whose slug is taken, while another guest places orders; returns the answers and the new connections. */
async function refuseWrites(at: string) {
  const [mallory, victim] = await Promise.all([signIn(at), signIn(at)])
  const path = `/orgs/${mallory.orgId}/projects`
  const taken = () => call(at, mallory, 'POST', path, { name: 'Lamps', slug: 'taken' })
  t.equal((await taken()).status, 201)
  const before = await sessionsBegun()
  const statuses = async (count: number, send: () => ReturnType<typeof call>) => {
    const seen = new Set<number>()
    for (let i = 0; i < count; i++) seen.add((await send()).status)
    return [...seen]
  }
  const attack = Promise.all(Array.from({ length: attackers }, () => statuses(refusals / attackers, taken)))
  const victims = await statuses(50, () => call(at, victim, 'POST', '/orders', { amount: 1 }))
  return { attack: [...new Set((await attack).flat())], victims, connections: (await sessionsBegun()) - before }
}

const sessionsBegun = async (): Promise<number> => {
  await admin.query('SELECT pg_stat_clear_snapshot()')
  const { rows } = await admin.query('SELECT sessions::int FROM pg_stat_database WHERE datname = current_database()')
  return rows[0].sessions
}

t.test('writes of one guest that are refused leave connections to others', async (t) => {
  const { attack, victims, connections } = await refuseWrites(url)

  t.strictSame(attack, [409])
  t.strictSame(victims, [201])
  t.ok(connections <= 10, `${connections} new connections`)
})

t.test('control: a service that closes the connection of each refused write', async (t) => {
  const service = await serve(t, { ...settings, ...preloaded('without-reuse.ts') })

  const { connections } = await refuseWrites(service.url)

  t.ok(connections > refusals / 2, `${connections} new connections`)
})

/**
 * Exchanges the slugs of two organisations, and of two projects, so that their transactions wait for each other, and places
 * orders in the locked organisations, while another guest makes projects and places orders. Returns the answers.
 */
async function holdLocks(at: string) {
  const [mallory, victim] = await Promise.all([signIn(at), signIn(at)])
  const exchangeOf = async (path: string, made: string, slugs: string[]) => {
    const bodies = slugs.map((slug) => ({ name: 'Lamps', slug }))
    const ids = await Promise.all(
      bodies.map(async (body): Promise<string> => JSON.parse((await call(at, mallory, 'POST', made, body)).body).id),
    )
    return { ids, sends: ids.map((id, i) => () => call(at, mallory, 'PUT', `${path}/${id}`, bodies[1 - i])) }
  }
  const orgs = await exchangeOf('/orgs', '/orgs', [`left-${mallory.orgId}`, `right-${mallory.orgId}`])
  const projects = await exchangeOf('/projects', `/orgs/${mallory.orgId}/projects`, ['left', 'right'])
  const place = (orgId: string) => () =>
    send(`${at}/api/v1/orders`, {
      method: 'POST',
      headers: { authorization: mallory.authorization, 'x-org-id': orgId },
      body: { amount: 1 },
    })
  const sends = [...orgs.sends, ...projects.sends, ...orgs.ids.map(place)]
  let running = true
  const attack = Array.from({ length: 60 }, async (_, i) => {
    const seen = new Set<number>()
    while (running) seen.add((await (sends[i % sends.length] as (typeof sends)[0])()).status)
    return [...seen]
  })
  const held: number[] = []
  const watch = async () => {
    while (running) held.push(await waitingForLocks())
  }
  const watching = watch()
  const victims: number[] = []
  for (let i = 0; i < 40; i++) {
    victims.push((await call(at, victim, 'POST', '/orders', { amount: 1 })).status)
    const project = { name: 'Lamps', slug: `lamps-${i}` }
    victims.push((await call(at, victim, 'POST', `/orgs/${victim.orgId}/projects`, project)).status)
  }
  running = false
  await watching
  return {
    held: Math.max(...held),
    attack: [...new Set((await Promise.all(attack)).flat())],
    failed: victims.filter((status) => status !== 201),
  }
}

const waitingForLocks = async (): Promise<number> => {
  const { rows } = await admin.query(
    "SELECT count(*)::int FROM pg_stat_activity WHERE application_name = 'orders' AND wait_event_type = 'Lock'",
  )
  return rows[0].count
}

t.test('locks of one guest leave connections to others', async (t) => {
  const service = await serve(t, { ...settings, ...manyConnections })

  const { attack, failed, held } = await holdLocks(service.url)

  t.comment(`the attacker got ${attack}`)
  t.strictSame(failed, [])
  t.ok(held <= heldByLocks, `${held} connections wait for locks`)
})

t.test('control: a service whose writes take no turns', async (t) => {
  const service = await serve(t, { ...settings, ...manyConnections, ...preloaded('without-turns.ts') })

  const { failed, held } = await holdLocks(service.url)

  t.comment(`${failed.length} writes of another guest failed`)
  t.ok(held > heldByLocks, `${held} connections wait for locks`)
})
