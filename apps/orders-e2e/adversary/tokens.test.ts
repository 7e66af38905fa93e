import { createSecretKey, randomUUID } from 'node:crypto'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { newGuestKeys, signIn } from '../src/faults/guests.ts'
import { hostileTokens } from '../src/faults/hostile-tokens.ts'
import { keepAlive, send } from '../src/faults/http.ts'
import { startIssuer } from '../src/faults/issuer.ts'
import { serve } from '../src/faults/service-process.ts'
import { accessClaims, newIssuerKey, signJws } from '../src/faults/tokens.ts'

/** The longest token of an issuer, in characters. */
const maxLength = 8192
t.setTimeout(120_000)

const key = newIssuerKey('issuer-key')
const namedKey = newIssuerKey("issuer's key: (2026) /+=~ \u00e9 ".padEnd(256, '.'))
const strangerKey = newIssuerKey(key.kid)
const issuer = await startIssuer(t, { keys: [key.jwk, namedKey.jwk] })
const { url: DATABASE_URL } = await createScratchDatabase(t)
const GUEST_KEYS = newGuestKeys()
const OPENID_ISSUERS = JSON.stringify([{ issuer: issuer.url, audience: 'urn:orders' }])
const settings = { DATABASE_URL, GUEST_KEYS, OPENID_ISSUERS, RATE_LIMITS: 'off', AUTH_MODE: 'required' }
const { url } = await serve(t, settings)
const without = (rules: string) => serve(t, { ...settings, ...preloaded(`without-token-rules.ts?${rules}`) })
const agent = keepAlive()
t.teardown(() => agent.destroy())

type Changes = { claims?: object; header?: object; key?: { kid: string; privateKey: Parameters<typeof signJws>[2] } }

/** Signs a token of the issuer now, so that its times are of this moment. */
function signToken({ claims = {}, header = {}, key: { kid, privateKey } = key }: Changes): string {
  const all = { alg: 'RS256', typ: 'at+jwt', kid, ...header }
  return signJws(all, { ...accessClaims(issuer.url), ...claims }, privateKey)
}

async function readMe(at: string, token: string) {
  const headers = { authorization: `Bearer ${token}` }
  const { status, body } = await send(`${at}/api/v1/me`, { headers, agent })
  const { scopes, error } = JSON.parse(body)
  return status === 200 ? { status, scopes } : { status, error }
}

const accepted = { status: 200, scopes: ['orders:read'] }
const rejected = { status: 401, error: 'UNAUTHENTICATED' }

/** What a client of the issuer gets from its token endpoint. */
async function requestToken(): Promise<string> {
  const { body } = await send(`${issuer.url}/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa('one:secret-of-one')}` },
    body: new URLSearchParams({ grant_type: 'client_credentials', scope: 'orders:read', resource: 'urn:orders' }),
  })
  return JSON.parse(body).access_token
}

/** Claims with which a token has up to `length` characters, and at most 10 fewer. No claim is a long text. */
function padded(length: number): object {
  const padding = Array(6).fill('')
  const spare = length - signToken({ claims: { padding } }).length
  return { padding: padding.map(() => 'x'.repeat(Math.floor((spare * 0.75) / padding.length))) }
}

const now = () => Number(accessClaims('').iat)
const groups = Array.from({ length: 90 }, () => randomUUID())

// Instants leave room for the 10 s that a request may take.
const forms: Record<string, () => Changes> = {
  'application/at+jwt (RFC 9068)': () => ({ header: { typ: 'application/at+jwt' } }),
  'scope as an array': () => ({ claims: { scope: ['openid', 'orders:read'] } }),
  'scp as a string': () => ({ claims: { scope: undefined, scp: 'openid orders:read' } }),
  'scp as an array': () => ({ claims: { scope: undefined, scp: ['openid', 'orders:read'] } }),
  'times with a fraction': () => ({ claims: { iat: now() - 1.25, nbf: now() - 1.25, exp: now() + 600.75 } }),
  'a kid of 256 characters': () => ({ key: namedKey }),
  'an unknown x5t beside the kid': () => ({ header: { x5t: 'dGhlIHRodW1icHJpbnQ' } }),
  'ninety groups': () => ({ claims: { groups } }),
  '8,192 characters': () => ({ claims: padded(maxLength) }),
  'a clock that is 59 s ahead': () => ({ claims: { iat: now() + 59, nbf: now() + 59 } }),
  'a clock that is 45 s behind': () => ({ claims: { iat: now() - 600, exp: now() - 45 } }),
}

t.test('accepts tokens as issuers issue them', async (t) => {
  const strict = await without('forms')

  for (const at of [url, strict.url]) t.strictSame(await readMe(at, await requestToken()), accepted, 'of the issuer')
  t.ok(signToken({ claims: padded(maxLength) }).length > maxLength - 10)
  for (const [name, changes] of Object.entries(forms)) {
    t.strictSame(await readMe(url, signToken(changes())), accepted, name)
    const found = await readMe(strict.url, signToken(changes()))
    t.notSame(found, accepted, `control: ${name}: a service that takes one form only: ${JSON.stringify(found)}`)
  }
})

/** Each is rejected, and a service without the rules accepts it. */
async function assertRejected(t: Test, rules: string, tokens: Record<string, () => string>) {
  const trusting = await without(rules)
  for (const [name, sign] of Object.entries(tokens)) {
    t.strictSame(await readMe(url, sign()), rejected, name)
    t.strictSame(await readMe(trusting.url, sign()), accepted, `control: ${name}: a service without rules for ${rules}`)
  }
}

t.test('rejects tokens that the issuer did not sign, or not for now and here', async (t) => {
  const publicKey = createSecretKey(Buffer.from(key.publicKey.export({ type: 'spki', format: 'pem' })))
  const [header, , signature] = signToken({}).split('.')
  const [, claims] = signToken({}).split('.')

  await assertRejected(t, 'signatures', {
    'signed by another key with the kid of the issuer': () => signToken({ key: strangerKey }),
    'a kid that is not in the set': () => signToken({ header: { kid: `${key.kid} ` } }),
    'signed by no key': () => signToken({ header: { alg: 'none' } }),
    'a public key as a secret': () => signToken({ header: { alg: 'HS256' }, key: { ...key, privateKey: publicKey } }),
    'the signature of another token': () => `${header}.${claims}.${signature}`,
    'another audience': () => signToken({ claims: { aud: 'urn:other' } }),
    'a clock that is 75 s ahead': () => signToken({ claims: { iat: now() + 75 } }),
    'a clock that is 61 s behind': () => signToken({ claims: { iat: now() - 600, exp: now() - 61 } }),
    'not valid for 75 s': () => signToken({ claims: { nbf: now() + 75 } }),
  })
})

t.test('rejects tokens that name their own key, or are longer than 8 kB', async (t) => {
  const jwk = strangerKey.publicKey.export({ format: 'jwk' })

  await assertRejected(t, 'headers', {
    'an address of keys': () => signToken({ header: { jku: `${issuer.url}/jwks` } }),
    'a key': () => signToken({ header: { jwk } }),
    'an address of a certificate': () => signToken({ header: { x5u: `${issuer.url}/cert` } }),
    'a certificate': () => signToken({ header: { x5c: ['MIIB'] } }),
    'more than 8 kB': () => signToken({ claims: padded(maxLength + 12) }),
  })
})

t.test('rejects 584 hostile tokens of a guest', async (t) => {
  const [, token = ''] = (await signIn(url)).authorization.split(' ')
  const tokens = hostileTokens(token, GUEST_KEYS)
  const trusting = await without('signatures')
  /** The names of the tokens that are accepted. */
  const acceptedAt = async (at: string) => {
    const found: string[] = []
    for (const [name, token] of tokens) if ((await readMe(at, token)).error !== rejected.error) found.push(name)
    return found
  }

  t.equal(tokens.length, 584)
  t.strictSame(await acceptedAt(url), [])
  t.equal((await readMe(url, token)).status, 200, 'the genuine token')
  const forged = await acceptedAt(trusting.url)
  t.ok(forged.includes('a stranger’s key under our kid'), `control: ${forged.length} of a service without signatures`)
})
