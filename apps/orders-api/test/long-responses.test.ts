import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { createSlots } from '../src/long-responses/concurrency.ts'
import {
  type Guest,
  isAnswered,
  openClient,
  openExport,
  openImport,
  openStream,
  placeMany,
  sendAndLeave,
  signInAsGuest,
  tokenFor,
  until,
  waitsForLock,
} from './long-responses/client.ts'
import { createClock } from './rate-limits/clock.ts'
import { type Service, startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const required = { GUEST_KEYS, AUTH_MODE: 'required' }
t.setTimeout(240_000)

const setRole = ({ send }: Service, owner: Guest, { id }: Guest, role: string) =>
  send('PUT', `/api/v1/orgs/${owner.org}/members/${id}`, { headers: owner.headers, body: { role } })

/** The last line of an import's report. */
const reportOf = (text: string) => JSON.parse(text.trimEnd().split('\n').at(-1) ?? '')

t.test('limits streams of a user, of an organisation and of the process', async (t) => {
  const CONCURRENCY_LIMITS = 'streams=4,org-streams=3,user-streams=2'
  const service = await startService(t, { ...required, CONCURRENCY_LIMITS })
  const [ann, bob, eve] = [await signInAsGuest(service), await signInAsGuest(service), await signInAsGuest(service)]
  await setRole(service, ann, bob, 'viewer')
  const open = (headers: object) => service.send('GET', '/api/v1/orders/stream', { headers: { ...headers } })
  const inAnns = { ...bob.headers, 'x-org-id': ann.org }

  const [first] = [await openStream(service, ann.headers), await openStream(service, ann.headers)]
  const ofUser = await open(ann.headers)
  await openStream(service, inAnns)
  const ofOrganisation = await open(inAnns)
  await openStream(service, eve.headers)
  const ofProcess = await open(eve.headers)

  t.match(ofUser, { status: 429, json: { error: 'RATE_LIMITED' }, headers: { 'retry-after': '10' } })
  t.equal(ofUser.json.message, 'You may have at most 2 streams at a time on this server.')
  t.match(ofOrganisation, { status: 429, headers: { 'retry-after': '10' } })
  t.equal(ofOrganisation.json.message, 'The organisation may have at most 3 streams at a time on this server.')
  t.match(ofProcess, {
    status: 503,
    json: { error: 'OVERLOADED', message: 'This server serves at most 4 streams at a time.' },
  })
  first.request.destroy()
  await until(() => service.server.longResponses.count() === 3)
  const again = await openStream(service, ann.headers)
  t.equal(again.response.statusCode, 200, 'a closed stream makes room')
})

t.test('slow exports of one user leave room for the exports of others', async (t) => {
  const service = await startService(t, required)
  const [ann, bob] = [await signInAsGuest(service), await signInAsGuest(service)]
  await placeMany(service, ann.headers)
  await openExport(service, ann.headers)
  const query = '/api/v1/orders/export?format=csv'

  const second = await service.send('GET', query, { headers: ann.headers })
  const others = await service.send('GET', query, { headers: bob.headers })

  t.match(second, { status: 429, json: { message: 'You may have at most 1 export at a time on this server.' } })
  t.equal(others.status, 200)
})

t.test('releases the slot of a client that leaves before its export begins', async (t) => {
  const service = await startService(t, required)
  const guest = await signInAsGuest(service)
  const admin = await openClient(t, service.url)
  const query = '/api/v1/orders/export?format=csv'

  await admin.query('BEGIN; LOCK TABLE users')
  service.server.forgetCaller(guest.id)
  const response = await sendAndLeave(service, query, guest, () => waitsForLock(admin))
  await admin.query('ROLLBACK')
  await until(() => isAnswered(response))

  t.equal(service.server.longResponses.count(), 0)
  t.equal((await service.send('GET', query, { headers: guest.headers })).status, 200)
})

t.test('a limit counts each kind by itself, and what was given back no longer', async (t) => {
  const limited: string[] = []
  const { take } = createSlots({ setting: 'user-imports=1', onRateLimited: (limit) => limited.push(limit) })
  const ann = { userId: 'ann', orgId: 'a' }

  const giveBack = take('import', ann)
  t.throws(() => take('import', { ...ann, orgId: 'b' }), { code: 'RATE_LIMITED' })
  take('stream', ann)
  take('import', { userId: undefined, orgId: 'a' })
  giveBack()
  take('import', ann)
  t.throws(() => take('import', ann), { code: 'RATE_LIMITED' })

  t.strictSame(limited, ['user-imports', 'user-imports'])
})

t.test('a client that reads too slowly is cut off', async (t) => {
  const service = await startService(t, {}, { longResponses: { checkMs: 50, windowMs: 500 } })
  await placeMany(service, {})
  const { response, ended } = await openExport(service, {})
  await until(() => service.server.longResponses.count() === 0)
  response.resume()
  t.equal((await ended).complete, false)
  t.match((await service.send('GET', '/metrics')).text, /^orders_slow_readers_total 1$/m)
})

t.test('a removed member loses every response that lasts', async (t) => {
  const service = await startService(t, required)
  const [owner, member] = [await signInAsGuest(service), await signInAsGuest(service)]
  await setRole(service, owner, member, 'member')
  await placeMany(service, owner.headers)
  const here = { ...member.headers, 'x-org-id': owner.org }
  const [stream, file, lines] = [
    await openStream(service, here),
    await openExport(service, here),
    await openImport(service, here),
  ]
  const kept = await openStream(service, owner.headers)

  await service.send('DELETE', `/api/v1/orgs/${owner.org}/members/${member.id}`, { headers: owner.headers })

  await until(() => service.server.longResponses.count() === 1)
  file.response.resume()
  t.match((await stream.ended).text, /event: end\ndata: \{"reason":"you may no longer listen"\}\n\n$/)
  t.equal((await file.ended).complete, false, 'an export breaks off, and is not taken for a whole one')
  const report = reportOf((await lines.ended).text)
  t.match(report, { type: 'report', lines: 2, placed_count: 1, failure: { error: 'ORG_NOT_FOUND', through_line: 2 } })
  t.equal((await service.send('GET', '/api/v1/orders/first', { headers: owner.headers })).status, 200)
  t.equal(kept.response.destroyed, false, 'the owner still listens')
})

t.test('a role that is lowered ends what it no longer allows', async (t) => {
  const service = await startService(t, required)
  const [owner, member] = [await signInAsGuest(service), await signInAsGuest(service)]
  await setRole(service, owner, member, 'member')
  const here = { ...member.headers, 'x-org-id': owner.org }
  const stream = await openStream(service, here)
  const lines = await openImport(service, here)

  await setRole(service, owner, member, 'viewer')

  t.match(reportOf((await lines.ended).text), { failure: { error: 'ROLE_REQUIRED', through_line: 2 } })
  t.equal(service.server.longResponses.count(), 1, 'a viewer may listen')
  stream.request.destroy()
})

t.test('an expired token ends every response that lasts', async (t) => {
  let aheadMs = 0
  const now = () => performance.now() + aheadMs
  const service = await startService(t, required, { now, longResponses: { checkMs: 50 } })
  const guest = await signInAsGuest(service)
  await placeMany(service, guest.headers)
  const headers = await tokenFor(GUEST_KEYS, guest, 300_000)
  const responses = [
    await openStream(service, headers),
    await openExport(service, headers),
    await openImport(service, headers),
  ]

  aheadMs = 600_000
  await until(() => service.server.longResponses.count() === 0)
  responses[1]?.response.resume()

  const [stream, file, lines] = await Promise.all(responses.map(({ ended }) => ended))
  t.match(stream?.text, /you may no longer listen/)
  t.equal(file?.complete, false)
  t.match(reportOf(lines?.text ?? ''), { failure: { error: 'UNAUTHENTICATED', through_line: 2 } })
})

t.test('a deleted organisation ends its streams', async (t) => {
  const service = await startService(t, required)
  const owner = await signInAsGuest(service)
  const body = { name: 'Lamps', slug: 'lamps' }
  const { json: org } = await service.send('POST', '/api/v1/orgs', { headers: owner.headers, body })
  const stream = await openStream(service, { ...owner.headers, 'x-org-id': org.id })
  t.equal((await service.send('DELETE', `/api/v1/orgs/${org.id}`, { headers: owner.headers })).status, 204)
  t.match((await stream.ended).text, /you may no longer listen/)
})

t.test('a page stops when its session ends or its member is removed', async (t) => {
  const service = await startService(t, required)
  const { people } = service.server
  const [owner, member] = [await signInAsGuest(service), await signInAsGuest(service)]
  await setRole(service, owner, member, 'viewer')
  const [ending, chosen] = [await people.startSession(owner.id, null), await people.startSession(member.id, null)]
  await people.chooseOrg(chosen, owner.org)
  const [first, second] = [
    await openStream(service, { cookie: `sid=${ending}` }, '/ui/orders/stream'),
    await openStream(service, { cookie: `sid=${chosen}` }, '/ui/orders/stream'),
  ]

  await people.endSession(ending)
  await service.send('DELETE', `/api/v1/orgs/${owner.org}/members/${member.id}`, { headers: owner.headers })

  t.match((await first.ended).text, /you may no longer listen/)
  t.match((await second.ended).text, /you may no longer listen/, 'the session goes on at home, and the stream does not')
})

t.test('a change that no notification announces is found by the next check', async (t) => {
  const service = await startService(t, required, { longResponses: { checkMs: 200 } })
  const [owner, member] = [await signInAsGuest(service), await signInAsGuest(service)]
  await setRole(service, owner, member, 'viewer')
  const admin = await openClient(t, service.url)
  await admin.query('ALTER TABLE memberships DISABLE TRIGGER announce_access')
  const stream = await openStream(service, { ...member.headers, 'x-org-id': owner.org })

  await service.send('DELETE', `/api/v1/orgs/${owner.org}/members/${member.id}`, { headers: owner.headers })

  t.match((await stream.ended).text, /you may no longer listen/)
})

t.test('a response whose authorisation cannot be checked ends after 30 s', async (t) => {
  const clock = createClock()
  const service = await startService(t, required, { longResponses: { checkMs: 100_000, now: clock.now } })
  const { longResponses } = service.server
  const guest = await signInAsGuest(service)
  const admin = await openClient(t, service.url)
  const stream = await openStream(service, guest.headers)
  await admin.query('BEGIN; LOCK TABLE users')
  service.server.forgetCaller(guest.id)

  clock.pass(30_000)
  await longResponses.recheck()
  longResponses.sweep()
  t.equal(longResponses.count(), 1)
  clock.pass(1)
  longResponses.sweep()

  t.match((await stream.ended).text, /the database does not answer/)
  await admin.query('ROLLBACK')
})
