import { randomUUID } from 'node:crypto'
import { importJWK, type JWTPayload, SignJWT } from 'jose'
import t from 'tap'
import { startIssuer } from './access/issuer.ts'
import { startService } from './service.ts'

const kid = "issuer's key: (2026) /+=~ \u00e9"
const issuer = await startIssuer(t, { audience: 'urn:orders', kid })
const { send } = await startService(t, {
  AUTH_MODE: 'required',
  OPENID_ISSUERS: JSON.stringify([{ issuer: issuer.url, audience: 'urn:orders', max_age: 3600 }]),
})
const key = await importJWK(issuer.key, 'RS256')
type Claims = Record<string, unknown>

const now = () => Math.floor(Date.now() / 1000)

const claimsOf = (claims: Claims) => ({
  iss: issuer.url,
  aud: 'urn:orders',
  sub: randomUUID(),
  jti: randomUUID(),
  iat: now(),
  exp: now() + 600,
  scope: 'orders:read',
  ...claims,
})

const sign = (claims: Claims, header: object = {}, by: Parameters<SignJWT['sign']>[0] = key) =>
  new SignJWT(claimsOf(claims) as JWTPayload)
    .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid, ...header })
    .sign(by)

const me = async (token: string) => send('GET', '/api/v1/me', { headers: { authorization: `Bearer ${token}` } })

t.test('accepts the forms in which issuers write access tokens', async (t) => {
  const groups = Array.from({ length: 90 }, () => randomUUID())
  const audiences = ['urn:orders', 'urn:other']
  const forms: Record<string, [claims: Claims, header?: object]> = {
    'at+jwt': [{}],
    'AT+JWT': [{}, { typ: 'AT+JWT' }],
    'application/at+jwt (RFC 9068)': [{}, { typ: 'application/at+jwt' }],
    JWT: [{}, { typ: 'JWT' }],
    'a scope among others': [{ scope: 'openid orders:read profile' }],
    'scope as an array': [{ scope: ['openid', 'orders:read'] }],
    'scp as a string': [{ scope: undefined, scp: 'openid orders:read' }],
    'scp as an array': [{ scope: undefined, scp: ['openid', 'orders:read'] }],
    'times with a fraction': [{ iat: now() - 1.25, nbf: now() - 1.25, exp: now() + 600.75 }],
    'x5t beside the kid': [{}, { x5t: 'dGhlIHRodW1icHJpbnQ' }],
    'x5t#S256 beside the kid': [{}, { 'x5t#S256': 'dGhlIHRodW1icHJpbnQ' }],
    'ninety groups': [{ groups }],
    'several audiences': [{ aud: audiences }],
    'a clock that is 55 s ahead': [{ iat: now() + 55, nbf: now() + 55 }],
    'a clock that is 55 s behind': [{ iat: now() - 600, exp: now() - 55 }],
    'times with seven digits of a fraction': [{ iat: now() - 1.2345678, exp: now() + 600.7654321 }],
    'a claim of 3,000 characters': [{ note: 'x'.repeat(3000) }],
    'a claim with line breaks (OpenID: address)': [{ address: { formatted: '1 High Street\r\nAmbridge' } }],
    'half of a character in a claim': [{ note: '\ud83d' }],
    'a number of 20 digits': [{ employee: 2 ** 64 }],
    '300 roles': [{ roles: Array.from({ length: 300 }, (_, i) => `role-${i}`) }],
    'uti instead of jti': [{ jti: undefined, uti: 'AbCdEf' }],
  }
  for (const [form, [claims, header]] of Object.entries(forms)) {
    const token = await sign(claims, header)
    const { status, json } = await me(token)
    t.match({ status, scopes: json.scopes }, { status: 200, scopes: ['orders:read'] }, `${form}: ${json.detail}`)
  }
  const large = await sign({ groups: [...groups, ...groups.slice(0, 30)] })
  t.ok(large.length > 6500 && large.length < 8192, `${large.length} characters`)
  t.equal((await me(large)).status, 200)
})

t.test('rejects what is near to these forms', async (t) => {
  const forms: Record<string, [claims: Claims, header?: object]> = {
    'application/jwt': [{}, { typ: 'application/jwt' }],
    'an ID token': [{}, { typ: 'id+jwt' }],
    'at+jwt with a parameter': [{}, { typ: 'at+jwt; a=b' }],
    'a kid that is not in the set': [{}, { kid: `${kid} ` }],
    'a kid of 257 characters': [{}, { kid: 'k'.repeat(257) }],
    'a kid with a line break': [{}, { kid: `${kid}\n` }],
    'an address of keys beside the kid': [{}, { jku: `${issuer.url}/jwks` }],
    'a certificate beside the kid': [{}, { x5c: ['MIIB'] }],
    'a clock that is 65 s ahead': [{ iat: now() + 120 }],
    'a clock that is 65 s behind': [{ iat: now() - 600, exp: now() - 65 }],
    'not valid for 65 s': [{ nbf: now() + 120 }],
    'a subject with a line break': [{ sub: 'ada\n' }],
    'a jti with half of a character': [{ jti: 'a\ud83d' }],
    'times without a number': [{ exp: `${now() + 600}` }],
    'more than 8 kB': [{ groups: Array.from({ length: 170 }, () => randomUUID()) }],
  }
  for (const [form, [claims, header]] of Object.entries(forms)) {
    t.match(await me(await sign(claims, header)), { status: 401, json: { error: 'UNAUTHENTICATED' } }, form)
  }
  const granted = async (claims: Claims) => (await me(await sign(claims))).json.scopes
  t.same(await granted({ scope: ['orders:read orders:write'] }), [], 'an item of an array is one scope')
  t.same(await granted({ scope: { 'orders:read': true } }), [])
  t.same(await granted({ scope: [['orders:read']] }), [])
  t.same(await granted({ scope: 'orders:read,orders:write' }), [])
})

t.test('a user of any name that a token can carry has an account', async (t) => {
  const names: [claim: unknown, name: string][] = [
    ['Ada', 'Ada'],
    ['A'.repeat(200), 'A'.repeat(200)],
    ['A'.repeat(201), 'A'.repeat(200)],
    ['A'.repeat(255), 'A'.repeat(200)],
    ['A'.repeat(3000), 'A'.repeat(200)],
    ['Ada\tLovelace', 'Ada Lovelace'],
    ['Ada \ud83d', 'Ada \ufffd'],
    ['\u{1f600}'.repeat(201), '\u{1f600}'.repeat(200)],
    [`${'A'.repeat(199)}\u{1f600}\u{1f600}`, `${'A'.repeat(199)}\u{1f600}`],
    ['  Ada  ', 'Ada'],
    ['', 'A user'],
    ['   ', 'A user'],
    [17, 'A user'],
    [null, 'A user'],
    [['Ada'], 'A user'],
    [undefined, 'A user'],
    ['e\u0301\u200d\u202e\ufeffx', 'e\u0301\u200d\u202e\ufeffx'],
  ]
  for (const [name, expected] of names) {
    const { status, json } = await me(await sign({ name }))
    t.match({ status, name: json.user?.name }, { status: 200, name: expected }, String(name).slice(0, 20))
  }
  t.match((await me(await sign({ name: undefined, preferred_username: 'ada@example.com' }))).json.user, {
    name: 'ada@example.com',
  })
})

t.test('no length, range or character of a claim makes the service fail', async (t) => {
  const values = [
    '',
    ' ',
    '\0',
    '\n',
    '\ud83d',
    'x'.repeat(3000),
    'x'.repeat(255),
    'x'.repeat(256),
    '\u{10ffff}',
    '\u{1f600}'.repeat(127),
    "'",
    '\\',
    '%00',
    '../x',
  ]
  const numbers = [0, -1, 2 ** 31, 2 ** 53, 1e300, -1e300, 0.1]
  for (const claim of [
    'sub',
    'jti',
    'uti',
    'name',
    'preferred_username',
    'scope',
    'scp',
    'iat',
    'exp',
    'nbf',
    'iss',
    'aud',
  ]) {
    for (const value of [...values, ...numbers, null, true, {}, []]) {
      const { status, json } = await me(await sign({ [claim]: value }))
      if (status !== 200 && status !== 401) t.fail(`${claim} ${JSON.stringify(value)}: ${status}`, json)
    }
  }
})
