import { type ErrorCode, errorCatalogue, Problem } from '@orders/schema'
import { type TSchema, Type } from '@sinclair/typebox'

// What any route may answer, whatever it does.
const everywhere: ErrorCode[] = [
  'VALIDATION_FAILED',
  'CROSS_SITE_REQUEST',
  'HOST_NOT_ALLOWED',
  'REQUEST_TIMEOUT',
  'URI_TOO_LONG',
  'EXPECTATION_FAILED',
  'RATE_LIMITED',
  'HEADERS_TOO_LARGE',
  'INTERNAL',
  'DATABASE_UNAVAILABLE',
  'DURABILITY_LOST', // also of reads: the first request with a token of an issuer adds its user
  'OVERLOADED',
  'TIMED_OUT',
]

/** Response schemas of a route's refusals: a status an entry, described by the codes that have it. */
export function refusals(...codes: ErrorCode[]): Record<number, TSchema> {
  const byStatus = Map.groupBy([...new Set([...codes, ...everywhere])], (code) => errorCatalogue[code].status)
  return Object.fromEntries(
    [...byStatus].map(([status, group]) => [
      status,
      {
        description: group.map((code) => `${code}: ${errorCatalogue[code].title}.`).join('\n'),
        content: { 'application/problem+json': { schema: Type.Ref(Problem) } },
      },
    ]),
  ) as unknown as Record<number, TSchema>
}

/** Of routes that take an Idempotency-Key. */
export const keyRefusals = ['IDEMPOTENCY_KEY_INVALID', 'IDEMPOTENCY_IN_FLIGHT', 'IDEMPOTENCY_MISMATCH'] as const

const ofCallers: ErrorCode[] = [
  'UNAUTHENTICATED',
  'ROLE_REQUIRED',
  'SCOPE_REQUIRED',
  'ORG_NOT_FOUND',
  'ISSUER_UNAVAILABLE',
]

/** The same for a route that not everybody may call. */
export const callerRefusals = (...codes: ErrorCode[]) => refusals(...ofCallers, ...codes)
