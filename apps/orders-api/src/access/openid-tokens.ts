import type { Clock } from '@orders/database'
import { scopes } from '@orders/schema'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { jwtVerify } from 'jose'
import { v5 as uuidv5 } from 'uuid'
import { createKeySet } from './key-set.ts'
import { notTaken, type Verifier } from './token.ts'

/** An OpenID issuer whose access tokens are taken, and where users may sign in. */
export const OpenIdIssuer = Type.Object(
  {
    issuer: Type.String({ pattern: '^https?://[^\\s?#]+$', maxLength: 500 }),
    audience: Type.String({ minLength: 1, maxLength: 500 }),
    algorithms: Type.Array(Type.Union([Type.Literal('RS256'), Type.Literal('ES256')]), {
      minItems: 1,
      default: ['RS256'],
    }),
    /** Seconds since a token was issued. */
    max_age: Type.Integer({ minimum: 60, maximum: 86_400, default: 900 }),
    /** What the button of the sign-in page says; the issuer's host without it. */
    name: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
    /** As which client the pages sign users in there; they do not without it. */
    client_id: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
    client_secret: Type.Optional(Type.String({ minLength: 1, maxLength: 1000 })),
    /** What to ask for at a sign-in. */
    scope: Type.String({ pattern: '^openid( [!#-\\[\\]-~]+)*$', maxLength: 500, default: 'openid profile' }),
  },
  { additionalProperties: false },
)
export type OpenIdIssuer = Static<typeof OpenIdIssuer>

const namespace = '6f0d9a4e-6f1b-5d0c-9c2d-3c3f6c6a6c11'
const maxText = 255
/** Seconds by which the clock of an issuer may differ. */
export const toleranceSeconds = 60

/** Users of other issuers have ids of their own here, made of the issuer's and its subject: two never meet. */
export const userIdOf = (issuer: string, subject: string) => uuidv5(`${issuer} ${subject}`, namespace)

/** Takes access tokens of one OpenID issuer (RFC 9068, and Microsoft Entra's, which have scp and uti for scope and jti). */
export function createOpenIdVerifier(
  { issuer, audience, algorithms, max_age }: OpenIdIssuer,
  onFailure: (error: Error) => void,
  clock: Clock,
): Verifier {
  const keys = createKeySet(issuer, onFailure, clock)
  return {
    issuer,
    maxLength: 8192,
    namesCertificates: true,
    async verify(token) {
      const { payload, protectedHeader } = await jwtVerify(token, keys, {
        algorithms,
        issuer,
        audience,
        requiredClaims: ['iss', 'aud', 'exp', 'iat', 'sub'],
        maxTokenAge: max_age,
        clockTolerance: toleranceSeconds,
        currentDate: new Date(clock.now()),
      })
      const { sub, exp = 0, iat = 0, scope, scp, jti, uti } = payload
      const id = jti ?? uti
      const lasts = Number.isFinite(exp) && Number.isFinite(iat) && exp > iat
      if (!isAccessToken(protectedHeader.typ) || !lasts || !isText(sub) || !isText(id)) {
        throw notTaken('its claims do not hold')
      }
      const granted = scopesIn(scope ?? scp)
      return {
        userId: userIdOf(issuer, sub),
        jti: id,
        scopes: scopes.filter((known) => granted.includes(known)),
        expiresAt: Math.floor(Math.min(exp, iat + max_age) * 1000),
        name: displayName(payload),
      }
    },
  }
}

/** `at+jwt` is that of RFC 9068, with or without the prefix that RFC 7515 lets out; older issuers write `JWT`. */
const isAccessToken = (type: unknown) => typeof type === 'string' && /^(?:(?:application\/)?at\+jwt|jwt)$/i.test(type)

/** Scopes as a text with spaces (RFC 8693) or as an array of one scope each. */
const scopesIn = (claim: unknown): unknown[] =>
  typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : []

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const control = /[\u0000-\u001f\u007f]/g
const maxName = 200 // code points, as the columns of names count them

/** The name of a user for people, such that the database can store it. */
export const displayName = ({ name, preferred_username }: Record<string, unknown>): string =>
  nameOf(name) ?? nameOf(preferred_username) ?? 'A user'

function nameOf(claim: unknown): string | undefined {
  if (typeof claim !== 'string') return undefined
  const text = claim.toWellFormed().replace(control, ' ').trim()
  return [...text].slice(0, maxName).join('').trim() || undefined
}

/** Reads OPENID_ISSUERS. Throws an Error with one sentence that says what to do. */
export function readIssuers(text: string): OpenIdIssuer[] {
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch {}
  const list = Value.Default(Type.Array(OpenIdIssuer), given)
  const [fault] = [...Value.Errors(Type.Array(OpenIdIssuer), list)]
  if (fault) {
    throw new Error(
      `OPENID_ISSUERS is not a list of issuers (at ${fault.path || '/'}: ${fault.message}): give each issuer and audience.`,
    )
  }
  const issuers = list as OpenIdIssuer[]
  const insecure = issuers.find(({ issuer }) => !/^https:|^http:\/\/(localhost|127\.0\.0\.1)[:/]/.test(issuer))
  if (insecure)
    throw new Error(`OPENID_ISSUERS has ${insecure.issuer}, which anybody on the way could speak for: use https.`)
  return issuers
}

/** What can name a subject or a token. */
export const isText = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length > 0 &&
  value.length <= maxText &&
  value.isWellFormed() &&
  value.search(control) === -1
