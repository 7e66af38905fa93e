import { createPrivateKey, randomUUID } from 'node:crypto'
import { isUuid, scopes } from '@orders/schema'
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK,
  jwtVerify,
  SignJWT,
} from 'jose'
import { ownUserScopes } from './rules.ts'
import { notTaken, type Verifier } from './token.ts'

const issuer = 'orders'
const audience = 'orders'
const type = 'at+jwt'
const lifetimeSeconds = 24 * 60 * 60
const developmentKid = 'development'
const pem = /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/
const kidPattern = /^[A-Za-z0-9_-]{1,64}$/
// Claims are of any type, whatever they are declared as. The service writes ids in lower case only.
const isOwnId = (value: unknown) => isUuid(value) && value === value.toLowerCase()

/** Keys that cannot be used; the message is one sentence that says what to do. */
export class GuestKeysError extends Error {
  override name = 'GuestKeysError'
}

type Key = { kid: string; privateKey: CryptoKey; publicKey: CryptoKey }

type Options = {
  development: boolean
  /** The instant by the database's clock, in milliseconds since 1970. */
  now?: () => number
}

export type GuestTokens = Awaited<ReturnType<typeof createGuestTokens>>

/**
 * Tokens that this service gives to its guests: EdDSA, for 24 hours. `text` is a JSON Web Key Set (RFC 8037) of private
 * Ed25519 keys, or these in PEM (PKCS #8): the first signs, each of them verifies, so a new one goes to the front while
 * the old one stays for a day. Throws a GuestKeysError.
 */
export async function createGuestTokens(
  text: string,
  { development, now = () => performance.timeOrigin + performance.now() }: Options,
) {
  const keys = await readKeys(text)
  const [signing] = keys as [Key]
  if (!development && keys.some(({ kid }) => kid === developmentKid)) {
    throw new GuestKeysError(
      'GUEST_KEYS holds a development key, which AUTH_MODE=required refuses: make one of your own.',
    )
  }
  const byKid = new Map(keys.map((key) => [key.kid, key.publicKey]))

  async function issue(userId: string): Promise<{ access_token: string; token_type: 'Bearer'; expires_in: number }> {
    const issuedAt = Math.floor(now() / 1000)
    const token = new SignJWT({ scope: ownUserScopes.join(' ') })
      .setProtectedHeader({ alg: 'EdDSA', kid: signing.kid, typ: type })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject(userId)
      .setJti(randomUUID())
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + lifetimeSeconds)
    return { access_token: await token.sign(signing.privateKey), token_type: 'Bearer', expires_in: lifetimeSeconds }
  }

  const verifier: Verifier = {
    issuer,
    maxLength: 4096,
    namesCertificates: false,
    async verify(token) {
      const { payload } = await jwtVerify(token, ({ kid = '' }) => keyOf(kid), {
        algorithms: ['EdDSA'],
        issuer,
        audience,
        typ: type,
        requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub', 'jti'],
        maxTokenAge: lifetimeSeconds,
        clockTolerance: 30,
        currentDate: new Date(now()),
      })
      const { sub = '', jti = '', exp = 0, iat = 0, aud, scope } = payload
      const lasts = Number.isInteger(exp) && Number.isInteger(iat) && exp > iat && exp - iat <= lifetimeSeconds
      if (!lasts || aud !== audience || !isOwnId(sub) || !isOwnId(jti)) throw notTaken('its claims do not hold')
      const granted = typeof scope === 'string' ? scope.split(' ') : []
      return { userId: sub, jti, scopes: scopes.filter((name) => granted.includes(name)), expiresAt: exp * 1000 }
    },
  }

  function keyOf(kid: string): CryptoKey {
    const key = byKid.get(kid)
    if (!key) throw notTaken('its key is not known here')
    return key
  }

  return { issue, verifier }
}

/** A new set of one key, as GUEST_KEYS takes it. */
export async function newGuestKeys(kid = developmentKid): Promise<string> {
  const { privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  return `${JSON.stringify({ keys: [{ ...(await exportJWK(privateKey)), kid, alg: 'EdDSA', use: 'sig' }] }, null, 2)}\n`
}

async function readKeys(text: string): Promise<Key[]> {
  let found: unknown
  try {
    found = pem.test(text) ? await readPem(text) : (JSON.parse(text) as { keys?: unknown }).keys
  } catch {}
  if (!Array.isArray(found) || found.length === 0) {
    throw new GuestKeysError('GUEST_KEYS is not a JSON Web Key Set: make one with npx nx run orders-api:guest-keys.')
  }
  const keys = await Promise.all(found.map(readKey))
  if (new Set(keys.map(({ kid }) => kid)).size < keys.length) {
    throw new GuestKeysError('GUEST_KEYS names two keys alike: give each a kid of its own.')
  }
  return keys
}

/** What cert-manager and OpenSSL write has no kid: the key's thumbprint (RFC 7638) names it. */
function readPem(text: string): Promise<JWK[]> {
  const jwks = text.match(new RegExp(pem, 'g'))?.map((key) => createPrivateKey(key).export({ format: 'jwk' }) as JWK)
  return Promise.all((jwks ?? []).map(async (jwk) => ({ ...jwk, kid: await calculateJwkThumbprint(jwk) })))
}

async function readKey(jwk: JWK, index: number): Promise<Key> {
  const { kid, kty, crv, x, d } = jwk ?? {}
  if (typeof kid !== 'string' || !kidPattern.test(kid) || kty !== 'OKP' || crv !== 'Ed25519' || !x || !d) {
    throw new GuestKeysError(
      `Key ${index + 1} of GUEST_KEYS is not a private Ed25519 key with a kid: make another one.`,
    )
  }
  try {
    const [privateKey, publicKey] = await Promise.all([
      importJWK({ kty, crv, x, d }, 'EdDSA'),
      importJWK({ kty, crv, x }, 'EdDSA'),
    ])
    return { kid, privateKey: privateKey as CryptoKey, publicKey: publicKey as CryptoKey }
  } catch (cause) {
    throw new GuestKeysError(`Key ${index + 1} of GUEST_KEYS cannot be read: make another one.`, { cause })
  }
}
