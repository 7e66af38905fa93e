import { createHash } from 'node:crypto'
import type { Claim } from '@orders/orders'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^[A-Za-z0-9_-]{16,255}$',
      description: 'Makes the request safe to repeat: its first answer is kept for 48 hours and given again.',
    }),
  ),
})

/** What an Idempotency-Key stands for: the caller's request on this route, told apart by a digest of its body. */
export function claimOf(request: FastifyRequest, key: string): Claim {
  return {
    route: 'POST /orders',
    principal: request.principal,
    key,
    fingerprint: createHash('sha256').update(canonicalJson(request.body)).digest(),
  }
}

/** JSON with sorted keys: bodies that differ in spelling only have one digest. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}
