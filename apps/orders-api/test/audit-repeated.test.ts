import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const minuteMs = 60_000

type Line = Record<string, unknown>

/** The service, its audit lines of one event, and a clock that the test moves. */
async function startAudited(t: Test) {
  const lines: Line[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const clock = { ms: 0 }
  const service = await startService(
    t,
    { GUEST_KEYS, AUTH_MODE: 'required' },
    {
      now: () => clock.ms,
      edit: (options) => {
        options.logger = { level: 'error', stream }
      },
    },
  )
  const signIn = async () => {
    const { json } = await service.send('POST', '/api/v1/auth/guest')
    return { id: json.user.id as string, headers: { authorization: `Bearer ${json.access_token}` } }
  }
  return { ...service, clock, signIn, audited: (event: string) => lines.filter(({ audit }) => audit === event) }
}

t.test('writes two lines a minute for a client that repeats a rejected request', async (t) => {
  const { server, send, signIn, audited, clock } = await startAudited(t)
  const { id, headers } = await signIn()
  const invent = (count: number, from = 0) =>
    Promise.all(
      Array.from({ length: count }, (_, i) =>
        send('GET', '/orders', { headers: { ...headers, 'x-org-id': `invented-${from + i}` } }),
      ),
    )

  const answers = await invent(500)
  t.ok(answers.every(({ status }) => status === 404))
  t.equal(audited('request.refused').length, 1, 'the first one at once')

  clock.ms += minuteMs
  await invent(3, 500)
  t.match(audited('request.refused'), [
    { user: id, code: 'ORG_NOT_FOUND', method: 'GET', route: '/orders', org: /^invented-/ },
    { user: id, code: 'ORG_NOT_FOUND', address: '127.0.0.1', repeated: 499, seconds: 60 },
    { user: id, code: 'ORG_NOT_FOUND', org: /^invented-50/ },
  ])

  await server.close()
  t.match(audited('request.refused').slice(3), [{ user: id, code: 'ORG_NOT_FOUND', repeated: 2 }], 'counted to the end')
})

t.test('counts by user and by code, and writes no summary of a single rejection', async (t) => {
  const { server, send, signIn, audited } = await startAudited(t)
  const [one, two] = [await signIn(), await signIn()]

  for (const { headers } of [one, two, one]) await send('GET', '/orders', { headers: { ...headers, 'x-org-id': 'x' } })
  for (let i = 0; i < 5; i++) await send('GET', '/api/v1/me', { headers: { authorization: `Bearer invented-${i}` } })
  await server.close()

  const found = audited('request.refused').map(({ user, code, repeated }) => ({ user, code, repeated }))
  t.same(found, [
    { user: one.id, code: 'ORG_NOT_FOUND', repeated: undefined },
    { user: two.id, code: 'ORG_NOT_FOUND', repeated: undefined },
    { user: null, code: 'UNAUTHENTICATED', repeated: undefined },
    { user: one.id, code: 'ORG_NOT_FOUND', repeated: 1 },
    { user: null, code: 'UNAUTHENTICATED', repeated: 4 },
  ])
})

t.test('aggregates sign-ins that fail', async (t) => {
  const { server, send, audited } = await startAudited(t)

  for (let i = 0; i < 20; i++) await send('POST', '/sign-in/guest', { headers: { 'x-attempt': String(i) } })
  await server.close()

  const [first, summary, ...more] = audited('sign-in.failed')
  t.ok(first && first.repeated === undefined)
  t.match(summary, { address: '127.0.0.1', repeated: 19 })
  t.same(more, [])
})
