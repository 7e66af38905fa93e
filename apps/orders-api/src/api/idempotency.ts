import { createHash } from 'node:crypto'
import type { Claim, Made, Once, StoredAnswer } from '@orders/orders'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'

export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      pattern: '^(?:[A-Za-z0-9_-]{16,255}|"[A-Za-z0-9_-]{16,255}")$',
      // A Structured Field is quoted (draft-ietf-httpapi-idempotency-key-header); it stands for the same key.
      description: 'Makes the request safe to repeat: its first answer is kept for 48 hours and given again.',
    }),
  ),
})

/** What an Idempotency-Key stands for: the caller's request on this route, told apart by a digest of its body. */
export function claimOf(request: FastifyRequest, key: string, route = 'POST /orders'): Claim {
  return {
    route,
    principal: request.principal,
    key: key.replaceAll('"', ''),
    fingerprint: createHash('sha256')
      .update(canonicalJson(request.body ?? null))
      .digest(),
  }
}

/** The claim of a request that makes something at `location` plus its id, and what is answered; undefined without a key. */
export function onceOf<T extends { id: string }>(
  request: FastifyRequest,
  route: string,
  location: string,
): Once<T> | undefined {
  const key = request.headers['idempotency-key'] as string | undefined
  if (key === undefined) return undefined
  const answerFor = (made: T) => ({
    status: 201,
    headers: { 'content-type': 'application/json; charset=utf-8', location: `${location}${made.id}` },
    body: JSON.stringify(made),
  })
  return { claim: claimOf(request, key, route), answerFor }
}

/** Answers with what was made, or as it was answered before. */
export function sendMade<T extends { id: string }>(
  reply: FastifyReply,
  location: string,
  result: Made<T>,
): FastifyReply {
  if (result.replayed) reply.header('idempotency-replayed', 'true')
  if (!result.replayed && !result.answer)
    return reply.code(201).header('location', `${location}${result.made.id}`).send(result.made)
  return sendStored(reply, result.answer as StoredAnswer)
}

/** An answer that was stored, byte for byte. */
export function sendStored(reply: FastifyReply, { status, headers, body }: StoredAnswer): FastifyReply {
  return reply.code(status).headers(headers).serializer(String).send(body)
}

/** JSON with sorted keys: bodies that differ in spelling only have one digest. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, part) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}
