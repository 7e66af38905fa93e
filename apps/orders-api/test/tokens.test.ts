import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import { createGuestTokens, newGuestKeys } from '../src/access/guest-tokens.ts'
import { hostileTokens } from './access/hostile-tokens.ts'
import { startService } from './service.ts'

const keys = await newGuestKeys('test-key')
const [key] = JSON.parse(keys).keys
const service = await startService(t, { GUEST_KEYS: keys, AUTH_MODE: 'required' })
const { send } = service

const { json: guest } = await send('POST', '/api/v1/auth/guest')
const me = (authorization: string) => send('GET', '/api/v1/me', { headers: { authorization } })
const parts = guest.access_token.split('.').map((part: string) => Buffer.from(part, 'base64url').toString())
const [header, claims] = [JSON.parse(parts[0]), JSON.parse(parts[1])]

t.test('a guest’s token says what the contract says', async (t) => {
  t.match(guest, {
    token_type: 'Bearer',
    expires_in: 86_400,
    user: { name: 'guest-0001' },
    org: { slug: 'guest-0001' },
  })
  t.match(header, { alg: 'EdDSA', kid: 'test-key', typ: 'at+jwt' })
  t.match(claims, { iss: 'orders', aud: 'orders', sub: guest.user.id, scope: 'orders:read orders:write orgs:write' })
  t.equal(claims.exp - claims.iat, 86_400)
  t.match(await me(`Bearer ${guest.access_token}`), {
    status: 200,
    json: { user: guest.user, org_id: guest.org.id, role: 'owner' },
  })
  t.match(await me(`bearer  ${guest.access_token}`), { status: 200 }, 'the scheme is not case-sensitive')
})

t.test('hostile tokens', async (t) => {
  const tokens = hostileTokens({ header, claims, key })
  const wrong: string[] = []
  for (const [name, token] of tokens) {
    const { status, headers, json } = await me(`Bearer ${token}`)
    const isRefused =
      status === 401 &&
      json.error === 'UNAUTHENTICATED' &&
      /^Bearer realm="orders"/.test(headers['www-authenticate'] ?? '')
    if (!isRefused) wrong.push(`${name}: ${status} ${JSON.stringify(json).slice(0, 150)}`)
  }
  t.equal(tokens.length, 584)
  t.strictSame(wrong, [], 'each of them is refused')
  const long = await me(`Bearer ${'x'.repeat(100_000)}`)
  t.equal(long.status, 431, '100 kB are refused before they are read')
  t.equal((await me(`Bearer ${guest.access_token}`)).status, 200, 'control: the genuine one is still taken')
})

t.test('other credentials, and none', async (t) => {
  for (const authorization of [
    '',
    'Bearer',
    'Bearer ',
    `Basic ${btoa('a:b')}`,
    guest.access_token,
    `Bearer ${guest.access_token} x`,
    `Token ${guest.access_token}`,
  ]) {
    t.match(
      await me(authorization),
      { status: 401, headers: { 'www-authenticate': /^Bearer/ } },
      authorization.slice(0, 20),
    )
  }
  t.match(await send('GET', '/api/v1/me'), { status: 401, headers: { 'www-authenticate': /^Bearer/ } })
  t.match(await send('GET', `/api/v1/me?access_token=${guest.access_token}`), { status: 401 })
})

t.test('keys rotate: a new one signs, the old one is still taken, a third is not', async (t) => {
  const newer = JSON.parse(await newGuestKeys('newer')).keys[0]
  const rotated = await createGuestTokens(JSON.stringify({ keys: [newer, key] }), { development: false })
  const { access_token } = await rotated.issue(guest.user.id)
  t.match(JSON.parse(Buffer.from(access_token.split('.')[0] ?? '', 'base64url').toString()), { kid: 'newer' })
  t.match(await rotated.verifier.verify(access_token), { userId: guest.user.id })
  t.match(await rotated.verifier.verify(guest.access_token), { userId: guest.user.id })
  t.match(await me(`Bearer ${access_token}`), { status: 401 }, 'a process without the newer key')
})

t.test('keys in PEM are taken as those of a set are', async (t) => {
  const pem = (type: 'ed25519' | 'x25519') =>
    generateKeyPairSync(type as 'ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const [older, newer] = [pem('ed25519'), pem('ed25519')]
  const before = await createGuestTokens(older, { development: false })
  const rotated = await createGuestTokens(`${newer}${older}`, { development: false })
  const [old, young] = [await before.issue(guest.user.id), await rotated.issue(guest.user.id)]
  t.match(await rotated.verifier.verify(old.access_token), { userId: guest.user.id })
  t.match(await rotated.verifier.verify(young.access_token), { userId: guest.user.id })
  await t.rejects(before.verifier.verify(young.access_token), /its key is not known/)
  const refused = (text: string, message: RegExp) =>
    t.rejects(createGuestTokens(text, { development: false }), { name: 'GuestKeysError', message })
  await refused(pem('x25519'), /Key 1 of GUEST_KEYS/)
  await refused(older + older, /two keys alike/)
  await refused(older.replace(/\n.{10}/, '\n'), /not a JSON Web Key Set/)
})

t.test('keys that cannot be used are told in a sentence', async (t) => {
  const refused = (text: string, message: RegExp, development = true) =>
    t.rejects(createGuestTokens(text, { development }), { name: 'GuestKeysError', message })
  await refused('', /not a JSON Web Key Set/)
  await refused('{"keys":[]}', /not a JSON Web Key Set/)
  await refused('{"keys":[null]}', /Key 1 of GUEST_KEYS/)
  await refused(JSON.stringify({ keys: [{ ...key, d: undefined }] }), /Key 1 of GUEST_KEYS/)
  await refused(JSON.stringify({ keys: [{ ...key, d: 'AAAA' }] }), /Key 1 of GUEST_KEYS/)
  await refused(JSON.stringify({ keys: [{ ...key, kid: '../x' }] }), /Key 1 of GUEST_KEYS/)
  await refused(JSON.stringify({ keys: [key, key] }), /two keys alike/)
  await refused(await newGuestKeys(), /development key/, false)
  await createGuestTokens(await newGuestKeys(), { development: true })
})
