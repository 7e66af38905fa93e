import { OrdersError } from '@orders/orders'
import type { Scope } from '@orders/schema'
import { type JsonLimits, parseStrictJson } from '../plugins/strict-json.ts'

/** Whom a token names, for how long (milliseconds since 1970) and what for. */
export type Identity = {
  userId: string
  jti: string
  scopes: readonly Scope[]
  expiresAt: number
  /** Of a user that may not be known here yet. */
  name?: string
  /** Organisation to act in, unless the request names one; the user's home without it. */
  orgId?: string
}

/** Accepts the tokens of one issuer, and rejects all others. */
export type Verifier = {
  issuer: string
  /** The longest token that the issuer makes, in characters. */
  maxLength: number
  /** Whether the issuer names the certificate of its key beside `kid` (RFC 7515); the service does not read that name. */
  namesCertificates: boolean
  verify(token: string): Promise<Identity>
}

const maxLength = 8192
// Looked up in a key set only.
const kidPattern = /^[^\p{C}\p{Zl}\p{Zp}]{1,256}$/u
// They let a token say how it is to be checked.
const forbidden = ['jku', 'jwk', 'x5u', 'x5c', 'crit', 'b64', 'zip']
// Its length bounds a token, and issuers write what they like into claims that the service does not read.
const jsonOfTokens: JsonLimits = {
  depth: 32,
  keys: Number.POSITIVE_INFINITY,
  items: Number.POSITIVE_INFINITY,
  stringLength: Number.POSITIVE_INFINITY,
  digits: Number.POSITIVE_INFINITY,
  plainText: false,
}
const certificateNames = ['x5t', 'x5t#S256']

export const notTaken = (reason: string) => new OrdersError('UNAUTHENTICATED', `The token is not valid: ${reason}.`)

/** Tells a token to the verifier of its issuer, once its form is beyond doubt. Throws UNAUTHENTICATED. */
export function createTokenReader(verifiers: Verifier[]) {
  const byIssuer = new Map(verifiers.map((verifier) => [verifier.issuer, verifier]))

  return async function readToken(token: string): Promise<Identity> {
    const { header, claims } = inspect(token)
    const verifier = typeof claims.iss === 'string' ? byIssuer.get(claims.iss) : undefined
    if (!verifier) throw notTaken('its issuer is not known here')
    if (token.length > verifier.maxLength) throw notTaken(`it is longer than ${verifier.maxLength} characters`)
    if (!verifier.namesCertificates) assertWithout(header, certificateNames)
    try {
      return await verifier.verify(token)
    } catch (error) {
      if (error instanceof OrdersError) throw error
      const { code } = error as { code?: string }
      if (code === 'ERR_JWT_EXPIRED') throw notTaken('it has expired')
      if (code?.startsWith('ERR_J')) throw notTaken('its signature or its claims do not hold')
      throw error
    }
  }
}

type Part = Record<string, unknown>

/** The header and the claims of a token that is well formed; nothing of it is believed yet. */
function inspect(token: string): { header: Part; claims: Part } {
  if (token.length > maxLength) throw notTaken(`it is longer than ${maxLength} characters`)
  const parts = token.split('.')
  if (parts.length !== 3 || !parts.every(isBase64Url)) throw notTaken('it is not a JWS in compact form')
  const header = readPart(parts[0] as string)
  if (typeof header.kid !== 'string' || !kidPattern.test(header.kid)) throw notTaken('its kid cannot name a key')
  assertWithout(header, forbidden)
  return { header, claims: readPart(parts[1] as string) }
}

function assertWithout(header: Part, names: string[]): void {
  const found = names.find((name) => name in header)
  if (found) throw notTaken(`its header has ${found}`)
}

const isBase64Url = (part: string) => Buffer.from(part, 'base64url').toString('base64url') === part && part !== ''

function readPart(part: string): Part {
  try {
    const value = parseStrictJson(Buffer.from(part, 'base64url'), jsonOfTokens)
    if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Part
  } catch {}
  throw notTaken('its header or its claims are not one plain JSON object')
}
