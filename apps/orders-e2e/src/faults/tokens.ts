import { createHmac, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'

/** Seconds since 1970, as claims count time. */
export const secondsNow = () => Math.floor((performance.timeOrigin + performance.now()) / 1000)

/** Signs with an Ed25519 or an RSA key, whatever `alg` says, or with a secret, and returns the JWS in compact form. */
export function signJws(header: object, claims: object, key: KeyObject): string {
  const text = `${encode(header)}.${encode(claims)}`
  return `${text}.${signatureOf(text, key).toString('base64url')}`
}

function signatureOf(text: string, key: KeyObject): Buffer {
  if (key.type === 'secret') return createHmac('sha256', key).update(text).digest()
  return sign(key.asymmetricKeyType === 'rsa' ? 'sha256' : null, Buffer.from(text), key)
}

const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')

/** The header and the claims of a token. */
export const decode = (token: string) =>
  token.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()))

/** Creates an RSA key of an issuer, with its private JSON Web Key. */
export function newIssuerKey(kid: string) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { kid, privateKey, publicKey, jwk: { ...privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' } }
}

/** The claims of an access token for `urn:orders` that an issuer has just issued. */
export function accessClaims(iss: string): Record<string, unknown> {
  const iat = secondsNow()
  return { iss, aud: 'urn:orders', sub: randomUUID(), jti: randomUUID(), iat, exp: iat + 600, scope: 'orders:read' }
}
