/**
 * Preload of a service that is broken on purpose, without the rules for tokens that the query names, such as
 * `without-token-rules.ts?signatures`.
 */
import { breakSources, type Change, named } from './break-sources.ts'

const access = 'apps/orders-api/src/access'
const unverified = `(async (token) => {
  const [protectedHeader, payload] = token.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')))
  return { protectedHeader, payload }
})(`

const rules: Record<string, Change[]> = {
  /** Everybody can sign a token, for any audience and any time. */
  signatures: [
    [`${access}/openid-tokens.ts`, /(?<=await )jwtVerify\(/, unverified],
    [`${access}/guest-tokens.ts`, /(?<=await )jwtVerify\(/, unverified],
  ],
  /** Nothing bounds the length of a token and what its header contains. */
  headers: [
    [`${access}/token.ts`, /(?<=const forbidden = )\[.*/, '[]'],
    [`${access}/token.ts`, 'const maxLength = 8192', 'const maxLength = 16_384'],
    [`${access}/openid-tokens.ts`, 'maxLength: 8192', 'maxLength: 16_384'],
  ],
  /** Issuers must write their tokens as the service writes those of guests. */
  forms: [
    [`${access}/token.ts`, /(?<=const kidPattern = ).*/, '/^[A-Za-z0-9_-]{1,64}$/'],
    [`${access}/openid-tokens.ts`, 'maxLength: 8192', 'maxLength: 4096'],
    [`${access}/openid-tokens.ts`, 'namesCertificates: true', 'namesCertificates: false'],
    [`${access}/openid-tokens.ts`, 'clockTolerance: toleranceSeconds', 'clockTolerance: 30'],
    [`${access}/openid-tokens.ts`, 'scope ?? scp', 'scope'],
    [`${access}/openid-tokens.ts`, 'Array.isArray(claim) ? claim : []', '[]'],
    [`${access}/openid-tokens.ts`, 'Number.isFinite(exp) && Number.isFinite(iat)', 'Number.isInteger(exp)'],
    [`${access}/openid-tokens.ts`, /(?<=isAccessToken = \(type: unknown\) => ).*/, "type === 'at+jwt'"],
  ],
}

breakSources(named(import.meta.url, rules).flat())
