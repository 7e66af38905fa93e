import { createHmac, generateKeyPairSync, randomUUID } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, SignJWT } from 'jose'
import t from 'tap'
import { readIssuers } from '../src/access/openid-tokens.ts'
import { startIssuer } from './access/issuer.ts'
import { createClock } from './rate-limits/clock.ts'
import { startService } from './service.ts'

const clock = createClock()

const issuer = await startIssuer(t, { audience: 'urn:orders' })
const { send } = await startService(
  t,
  {
    AUTH_MODE: 'required',
    OPENID_ISSUERS: JSON.stringify([{ issuer: issuer.url, audience: 'urn:orders', max_age: 3600 }]),
  },
  { now: clock.now },
)
const call = (token: string, method: string, path: string, body?: object) =>
  send(method, path, { headers: { authorization: `Bearer ${token}` }, ...(body && { body }) })

t.test('a token of a configured issuer names a user, who has a home from the first request on', async (t) => {
  const all = 'orders:read orders:write orgs:write'
  const [one, two] = [await issuer.token('one', all), await issuer.token('two', all)]
  const me = await call(one, 'GET', '/api/v1/me')
  t.match(me, { status: 200, json: { role: 'owner', scopes: all.split(' ') } })
  t.match(await call(one, 'POST', '/api/v1/orders', { id: 'a', amount: 1 }), {
    status: 201,
    json: { org_id: me.json.org_id },
  })
  const again = await call(await issuer.token('one', all), 'GET', '/api/v1/orders/a')
  t.match(again, { status: 200 }, 'another token names the same user')
  t.match(await call(two, 'GET', '/api/v1/orders/a'), { status: 404 })
})

t.test('a token has the scopes it was given', async (t) => {
  const reading = await issuer.token('one', 'orders:read')
  t.match(await call(reading, 'GET', '/api/v1/orders/a'), { status: 200 })
  const refused = await call(reading, 'POST', '/api/v1/orders', { amount: 1 })
  t.match(refused, { status: 403, json: { error: 'SCOPE_REQUIRED' } })
  t.match(refused.headers['www-authenticate'], /error="insufficient_scope", scope="orders:write"/)
})

t.test('what another key has signed, or another issuer, or for somebody else, is not taken', async (t) => {
  const genuine = await issuer.token('one', 'orders:read')
  const [header, claims] = [decodeProtectedHeader(genuine), decodeJwt(genuine)]
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const sign = (change: object, head: object = {}, key: Parameters<SignJWT['sign']>[0] = stranger) =>
    new SignJWT({ ...claims, ...change }).setProtectedHeader({ ...header, alg: 'RS256', ...head }).sign(key)
  const other = await startIssuer(t, { audience: 'urn:orders' })
  const [first, second] = genuine.split('.')
  const hmac = `${Buffer.from(JSON.stringify({ ...header, alg: 'HS256' })).toString('base64url')}.${second}`
  const refused: Record<string, string> = {
    'a stranger’s key under the issuer’s kid': await sign({}),
    'a kid of nothing': await sign({}, { kid: 'nothing' }),
    'the issuer’s kid as a path': await sign({}, { kid: '../first' }),
    'another issuer': await other.token('one', 'orders:read'),
    'another issuer’s key, our issuer’s name': await sign({ iss: issuer.url }, { kid: other.key.kid }),
    'the public key as a secret': `${hmac}.${createHmac('sha256', JSON.stringify(issuer.key.n)).update(hmac).digest('base64url')}`,
    'no signature': `${first}.${second}.`,
    'another audience': await issuer.token('one', 'orders:read', 'urn:other'),
  }
  for (const [name, token] of Object.entries(refused)) {
    t.match(await call(token, 'GET', '/api/v1/me'), { status: 401, json: { error: 'UNAUTHENTICATED' } }, name)
  }
  t.match(await call(genuine, 'GET', '/api/v1/me'), { status: 200 }, 'control')
})

t.test('10,000 unknown key ids make us ask twice at most', async (t) => {
  const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  const claims = decodeJwt(await issuer.token('one', 'orders:read'))
  const before = issuer.asked.get('/jwks') ?? 0
  const statuses = new Set<number>()
  const lane = async () => {
    for (let i = 0; i < 625; i++) {
      const token = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: randomUUID() })
        .sign(key)
      statuses.add((await call(token, 'GET', '/api/v1/me')).status)
    }
  }
  await Promise.all(Array.from({ length: 16 }, lane))
  t.strictSame([...statuses], [401])
  const asked = (issuer.asked.get('/jwks') ?? 0) - before
  t.ok(asked <= 2, `${asked} times`)
})

t.test('while the issuer is away, known users go on', async (t) => {
  const token = await issuer.token('one', 'orders:read')
  t.match(await call(token, 'GET', '/api/v1/me'), { status: 200 })
  issuer.goAway(true)
  for (const minutes of [1, 4, 7]) {
    clock.pass(minutes * 60_000)
    t.match(await call(token, 'GET', '/api/v1/me'), { status: 200 }, `${minutes} minutes later`)
  }
  issuer.goAway(false)
})

t.test('tokens of an issuer that was never there are answered with 503, not believed', async (t) => {
  const gone = await startIssuer(t, { audience: 'urn:orders' })
  const token = await gone.token('one', 'orders:read')
  gone.goAway(true)
  const { send } = await startService(t, {
    OPENID_ISSUERS: JSON.stringify([{ issuer: gone.url, audience: 'urn:orders' }]),
  })
  const me = () => send('GET', '/api/v1/me', { headers: { authorization: `Bearer ${token}` } })
  t.match(await me(), { status: 503, json: { error: 'ISSUER_UNAVAILABLE' }, headers: { 'retry-after': '30' } })
  t.match(await me(), { status: 503 })
})

t.test('issuers that cannot be used are told in a sentence', async (t) => {
  for (const [text, message] of [
    ['x', /not a list of issuers/],
    ['{}', /not a list of issuers/],
    ['[{"issuer":"https://a"}]', /audience/],
    ['[{"issuer":"https://a","audience":"b","algorithms":["HS256"]}]', /algorithms/],
    ['[{"issuer":"http://a.example","audience":"b"}]', /use https/],
  ] as const) {
    t.throws(() => readIssuers(text), { message }, text)
  }
  t.match(readIssuers('[{"issuer":"https://a","audience":"b"}]'), [{ algorithms: ['RS256'], max_age: 900 }])
})
