import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { type Answer, startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')

type Line = Record<string, unknown>

/** The service with its log: the lines of the audit, and all that was written. */
async function startAudited(t: Test, level: string) {
  const written: string[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      done()
    },
  })
  const edit = (options: { logger?: unknown }) => {
    options.logger = { level, stream }
  }
  const service = await startService(t, { GUEST_KEYS, AUTH_MODE: 'required' }, { edit })
  const lines = () => written.map((line) => JSON.parse(line) as Line).filter(({ audit }) => audit !== undefined)
  return { ...service, lines, text: () => written.join('') }
}

t.test('who did what, where and by which request, and never a secret', async (t) => {
  const { send, lines, text } = await startAudited(t, 'error')
  const expected: Line[] = []
  const expect = (audit: string, user: string | null, org: string | null, { headers }: Answer, about = {}) =>
    expected.push({ audit, user, org, address: '127.0.0.1', reqId: headers['x-request-id'], ...about })

  const [one, two] = [await send('POST', '/api/v1/auth/guest'), await send('POST', '/api/v1/auth/guest')]
  for (const guest of [one, two]) expect('guest.signed-in', guest.json.user.id, guest.json.org.id, guest)
  const [mine, yours] = [one.json.user.id as string, two.json.user.id as string]
  const as = (guest: Answer, org?: string) => ({
    authorization: `Bearer ${guest.json.access_token}`,
    ...(org && { 'x-org-id': org }),
  })

  const made = await send('POST', '/api/v1/orgs', { headers: as(one), body: { name: 'Lamps', slug: 'lamps' } })
  const org = made.json.id as string
  expect('org.made', mine, one.json.org.id, made, { made: org })
  const path = `/api/v1/orgs/${org}`
  const member = `${path}/members/${yours}`
  const invited = await send('PUT', member, { headers: as(one), body: { role: 'viewer' } })
  expect('member.set', mine, org, invited, { member: yours, role: 'viewer' })
  const tooMuch = await send('POST', '/orders', { headers: as(two, org), body: { amount: 1 } })
  expect('request.refused', yours, org, tooMuch, { code: 'ROLE_REQUIRED', method: 'POST', route: '/orders' })
  const changed = await send('PUT', path, { headers: as(one), body: { name: 'Shades', slug: 'lamps' } })
  expect('org.changed', mine, org, changed)
  const removed = await send('DELETE', member, { headers: as(one) })
  expect('member.removed', mine, org, removed, { member: yours })
  const gone = await send('GET', path, { headers: as(two) })
  expect('request.refused', yours, org, gone, { code: 'ORG_NOT_FOUND', method: 'GET', route: '/api/v1/orgs/:id' })
  const deleted = await send('DELETE', path, { headers: as(one) })
  expect('org.deleted', mine, org, deleted)

  const planted = { authorization: 'Bearer planted-secret' }
  const refused = { code: 'UNAUTHENTICATED', method: 'GET', route: '/api/v1/me' }
  expect('request.refused', null, null, await send('GET', '/api/v1/me', { headers: planted }), refused)
  await send('GET', '/api/v1/me') // counted with the one before

  t.same(
    lines().map(({ level, time, pid, hostname, msg, ...line }) => line),
    expected,
  )
  t.ok(lines().every(({ level, time }) => level === 30 && typeof time === 'number'))
  t.match(text(), mine)
  for (const secret of [
    one.json.access_token,
    two.json.access_token,
    'planted-secret',
    JSON.parse(GUEST_KEYS).keys[0].d,
  ])
    t.notMatch(text(), secret)
})

t.test("what succeeds and is nobody's secret writes no line", async (t) => {
  const { send, lines } = await startAudited(t, 'error')
  const { json } = await send('POST', '/api/v1/auth/guest')
  const headers = { authorization: `Bearer ${json.access_token}` }
  await send('POST', '/orders', { headers, body: { amount: 1 } })
  await send('GET', '/orders', { headers })
  t.equal(lines().length, 1)
})

t.test('a silent log is silent', async (t) => {
  const { send, text } = await startAudited(t, 'silent')
  await send('GET', '/api/v1/me')
  t.equal(text(), '')
})
