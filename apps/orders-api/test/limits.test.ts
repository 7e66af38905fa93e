import { createServer } from 'node:net'
import { Writable } from 'node:stream'
import pg from 'pg'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { readConfig } from '../src/config.ts'
import { readFigures } from '../src/rate-limits/figures.ts'
import { createClock } from './rate-limits/clock.ts'
import { type Answer, type Service, startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const behindProxy = { TRUSTED_PROXIES: '127.0.0.0/8' }
const unset = { RATE_LIMITS: '' }
const required = { AUTH_MODE: 'required', GUEST_KEYS, ...behindProxy, ...unset }
const from = (client: string, headers = {}) => ({ headers: { 'x-forwarded-for': client, ...headers } })

function limited(t: Test, answer: Answer, message: RegExp): number {
  t.match(answer, { status: 429, json: { error: 'RATE_LIMITED', type: '/errors/RATE_LIMITED', message } })
  t.equal(answer.headers['content-type'], 'application/problem+json')
  t.match(answer.headers['retry-after'], /^[1-9]\d*$/)
  return Number(answer.headers['retry-after'])
}

/** Sends the same request that often; the statuses. */
async function times(count: number, send: (i: number) => Promise<Answer>): Promise<number[]> {
  const statuses = []
  for (let i = 0; i < count; i++) statuses.push((await send(i)).status)
  return [...new Set(statuses)]
}

async function signIn({ send }: Service, client: string) {
  const { status, json } = await send('POST', '/api/v1/auth/guest', from(client))
  if (status !== 201) throw new Error(`${status} ${JSON.stringify(json)}`)
  const call = (method: string, path: string, body?: object, more: Record<string, string> = {}) =>
    send(method, path, {
      ...from(client, { authorization: `Bearer ${json.access_token}`, ...more }),
      ...(body && { body }),
    })
  return { id: json.user.id as string, org: json.org.id as string, token: json.access_token as string, call }
}

t.test('without a valid token, an address has 30 requests a minute', async (t) => {
  const clock = createClock()
  const service = await startService(t, required, { now: clock.now })
  const { send } = service
  const known = await signIn(service, '192.0.2.1')
  const look = (i = 0) =>
    send('GET', '/api/v1/orders', from('192.0.2.1', i % 2 ? { authorization: `Bearer a.b${i}.c` } : {}))
  t.same(await times(1, look), [401])
  clock.pass(500)
  t.same(await times(29, look), [401], 'no token and wrong ones count alike')
  const wait = limited(t, await look(), /^More than 30 requests a minute without a valid token came from this address/)
  t.equal(wait, 60)
  limited(t, await look(1), /address/)
  t.equal((await send('GET', '/api/v1/orders', from('192.0.2.2'))).status, 401, 'other addresses are not concerned')
  t.equal((await known.call('GET', '/api/v1/me')).status, 200, 'nor is who has a token, though it was never seen')
  t.equal((await known.call('POST', '/api/v1/orders', { amount: 1 })).status, 201)

  clock.pass(59_499)
  t.equal(limited(t, await look(), /address/), 1)
  clock.pass(501)
  t.same(await times(30, look), [401], 'after Retry-After there is room')
  limited(t, await look(), /address/)

  const page = await send('GET', '/errors', from('192.0.2.1', { accept: 'text/html' }))
  t.match(page, { status: 429, headers: { 'content-type': 'text/html; charset=utf-8', 'retry-after': '60' } })
  t.match(page.text, /Too many requests/)
  for (const path of ['/livez', '/health', '/readyz', '/ready', '/version', '/assets/site.css', '/docs/'])
    t.same(await times(2, () => send('GET', path, from('192.0.2.1'))), [200], `${path} is not limited`)
  const metrics = await service.server.meters.registry.metrics()
  t.match(metrics, /^orders_rate_limited_total\{limit="anonymous"\} 5$/m)
  t.match(metrics, /^orders_rate_limited_total\{limit="org-writes"\} 0$/m)
  t.notMatch(metrics, /orders_rate_limits_shared/)
  const open = await startService(t, { RATE_LIMITS: 'anonymous=2' })
  t.same(await times(5, () => open.send('GET', '/metrics')), [200], '/metrics is not limited')
})

t.test('an address signs up 5 guests a minute, and all together 100', async (t) => {
  const clock = createClock()
  const { send } = await startService(t, { ...required, RATE_LIMITS: 'all-guests=12' }, { now: clock.now })
  const guest = (client: string) => () => send('POST', '/api/v1/auth/guest', from(client))
  t.same(await times(5, guest('192.0.2.1')), [201])
  limited(t, await guest('192.0.2.1')(), /^More than 5 guests a minute signed in from this address/)
  t.same(await times(20, guest('192.0.2.1')), [429])
  t.same(await times(5, guest('192.0.2.2')), [201], 'what was refused is not counted')
  t.same(await times(2, guest('192.0.2.3')), [201])
  const wait = limited(t, await guest('192.0.2.3')(), /^More than 12 guests signed in within a minute/)
  clock.pass(wait * 1000)
  t.same(await times(1, guest('192.0.2.3')), [201])
  t.match(readFigures('on'), { guests: 5, 'all-guests': 100, writes: 120, 'org-writes': 1200 })
})

t.test('changes are counted by user and by organisation', async (t) => {
  const clock = createClock()
  const service = await startService(t, { ...required, RATE_LIMITS: 'writes=4,org-writes=6' }, { now: clock.now })
  const [ann, bob, eve] = [
    await signIn(service, '192.0.2.1'),
    await signIn(service, '192.0.2.1'),
    await signIn(service, '192.0.2.1'),
  ]
  const order = { amount: 1 }
  const inAnns = { 'x-org-id': ann.org }
  t.equal((await ann.call('PUT', `/api/v1/orgs/${ann.org}/members/${bob.id}`, { role: 'member' })).status, 201)
  t.same(await times(3, () => ann.call('POST', '/api/v1/orders', order)), [201])
  const keyed = { 'idempotency-key': 'limited-0123456789' }
  const refused = await ann.call('POST', '/api/v1/orders', order, keyed)
  const wait = limited(t, refused, /^You sent more than 4 changes within a minute/)
  t.same(await times(10, () => ann.call('GET', '/api/v1/orders')), [200], 'reading is not limited')

  const strange = () => service.send('POST', '/api/v1/orders', { ...from('192.0.2.9', inAnns), body: order })
  t.same(await times(5, strange), [401])
  t.same(await times(5, () => eve.call('POST', '/api/v1/orders', order, inAnns)), [404])
  t.same(await times(2, () => bob.call('POST', '/api/v1/orders', order, inAnns)), [201], 'others took none of it')
  limited(t, await bob.call('POST', '/api/v1/orders', order, inAnns), /^The organisation sent more than 6 changes/)
  t.same(await times(2, () => bob.call('POST', '/api/v1/orders', order)), [201], 'his own has room')
  limited(t, await bob.call('POST', '/api/v1/orders', order), /^You sent more than 4/)
  t.same(await times(4, () => eve.call('POST', '/api/v1/orders', order)), [201], 'what was not found was not counted')

  clock.pass(wait * 1000)
  const taken = await ann.call('POST', '/api/v1/orders', order, keyed)
  t.equal(taken.status, 201, 'a refusal is not kept under the key')
  t.equal(taken.headers['idempotency-replayed'], undefined)
  t.match(await ann.call('POST', '/api/v1/orders', order, keyed), {
    status: 201,
    headers: { 'idempotency-replayed': 'true' },
  })
})

t.test('a token that was refused again and again is not looked up', async (t) => {
  const clock = createClock()
  const service = await startService(t, { ...required, RATE_LIMITS: 'anonymous=3' }, { now: clock.now })
  const admin = new pg.Client({ connectionString: service.url })
  await admin.connect()
  t.teardown(() => admin.end())
  const guest = await signIn(service, '192.0.2.1')
  const { jti } = JSON.parse(Buffer.from(guest.token.split('.')[1] as string, 'base64url').toString())
  await admin.query(`INSERT INTO revoked_tokens VALUES ($1, $2, now() + interval '1 hour')`, [guest.id, jti])
  const look = (client: string) =>
    service.send('GET', '/api/v1/me', from(client, { authorization: `Bearer ${guest.token}` }))
  for (let i = 0; i < 3; i++) t.match(await look(`192.0.2.${i}`), { status: 401, json: { message: /it was revoked/ } })
  await admin.query('DELETE FROM revoked_tokens')
  t.match(await look('192.0.2.9'), { status: 401, json: { message: /it was refused many times/ } })
  clock.pass(60_000)
  t.equal((await look('192.0.2.9')).status, 200, 'the database is asked again')
})

t.test('who calls without a token is limited only if that is asked for', async (t) => {
  const free = await startService(t, unset)
  t.same(await times(60, () => free.place({ amount: 1 })), [201])
  t.equal(free.server.rateLimits, null)

  const open = await startService(t, { RATE_LIMITS: 'on' })
  t.same(await times(30, (i) => open.send('GET', '/api/v1/orders', from(`10.0.0.${i}`))), [200])
  limited(t, await open.send('GET', '/api/v1/orders', from('10.0.0.99')), /address/)
  limited(t, await open.place({ amount: 1 }, { 'x-forwarded-for': '10.1.1.1' }), /address/)

  const behind = await startService(t, { RATE_LIMITS: 'anonymous=3', ...behindProxy })
  const look = (client: string) => behind.send('GET', '/api/v1/orders', from(client))
  t.same(await times(9, (i) => look(`10.0.0.${i}`)), [200])
  t.same(await times(3, (i) => look(`198.51.100.${i}, 10.9.9.9`)), [200])
  limited(t, await look('198.51.100.7, 10.9.9.9'), /address/)
  t.same(await times(3, (i) => look(`2001:db8:1:2:${i}::1`)), [200])
  limited(t, await look('2001:db8:1:2:ffff::'), /address/)
  t.equal((await look('2001:db8:1:3::1')).status, 200)
  t.same(await times(3, () => behind.send('HEAD', '/api/v1/orders', from('10.2.2.2'))), [200])
  t.equal((await look('10.2.2.2')).status, 429, 'HEAD counts once')
  t.same(await times(3, (i) => look(`junk${i}`)), [200])
  limited(t, await look('other-junk'), /address/)
})

t.test('settings that cannot be meant end the start with one sentence', async (t) => {
  const read = (settings: object) => () => readConfig({ DATABASE_URL: 'postgresql://x/y', ...settings })
  for (const RATE_LIMITS of ['yes', 'anonymous', 'anonymous=0', 'anonymous=-1', 'reads=5', 'writes=5,', 'on,writes=5'])
    t.throws(read({ RATE_LIMITS }), /\n {2}RATE_LIMITS must be like on, off, or anonymous=30,.*[^\n]$/, RATE_LIMITS)
  for (const REDIS_URL of ['redis', 'http://:secret@redis', 'redis://', 'redis://:secret@redis/db'])
    t.throws(
      read({ REDIS_URL }),
      /\n {2}REDIS_URL must be like redis:\/\/:password@redis:6379\/0, not what it is set to: /,
    )
  const REDIS_URL_FILE = `${t.testdir({ url: 'rediss://:secret@redis:6380/1\n' })}/url`
  t.equal(read({ REDIS_URL_FILE })().REDIS_URL, 'rediss://:secret@redis:6380/1')
  for (const REDIS_URL of ['redis://redis:99999', 'redis://:secret%FF@redis', 'redis://[::z]']) {
    const error = await startService(t, { RATE_LIMITS: 'on', REDIS_URL }).catch((error: Error) => error)
    t.match(error, { message: /^REDIS_URL cannot be used: set it to an address like [^\n]*$/ })
    t.notMatch(String(error), 'secret')
  }
})

t.test('a Redis that is not there, or never answers, holds up nobody', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => silent.once('listening', resolve))
  t.teardown(async () => void silent.close())
  const { port } = silent.address() as { port: number }
  for (const REDIS_URL of ['redis://127.0.0.1:1', `redis://:secret@127.0.0.1:${port}`]) {
    const lines: string[] = []
    const stream = new Writable({
      write(line, _encoding, done) {
        lines.push(String(line))
        done()
      },
    })
    const settings = { RATE_LIMITS: 'anonymous=3', REDIS_URL }
    const service = await startService(t, settings, {
      edit: (options) => {
        options.logger = { level: 'warn', stream }
      },
    })
    while (lines.length === 0) await service.send('GET', '/metrics')
    const started = performance.now()
    t.same(await times(3, () => service.place({ amount: 1 })), [201])
    limited(t, await service.place({ amount: 1 }), /address/)
    t.ok(performance.now() - started < 1000)
    t.match((await service.send('GET', '/metrics')).text, /^orders_rate_limits_shared 0$/m)
    t.equal(lines.length, 1, 'of an outage there is one line')
    t.match(JSON.parse(lines[0] as string), { level: 40, msg: /^Redis does not answer/ })
    t.notMatch(lines[0], 'secret')
  }
})
