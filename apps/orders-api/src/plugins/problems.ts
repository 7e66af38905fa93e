import { pgErrorCode } from '@orders/database'
import { errorCatalogue } from '@orders/schema'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { problemOf, type Refusal, refusalOf } from '../errors.ts'

const internal: Refusal = { code: 'INTERNAL', message: 'Something went wrong on our side. It has been written down.' }
const gone: Refusal = { code: 'BAD_REQUEST', message: 'The client left before the end of the request.' }
const retryAfterSeconds = {
  IDEMPOTENCY_IN_FLIGHT: 1,
  DATABASE_UNAVAILABLE: 2,
  DURABILITY_LOST: 2,
  OVERLOADED: 2,
  SHUTTING_DOWN: 2,
  TIMED_OUT: 2,
  ISSUER_UNAVAILABLE: 30,
} as const

/** Turns every error into a problem document (RFC 9457); what is not a known refusal is logged, and told to nobody. */
async function problems(app: FastifyInstance) {
  app.setErrorHandler((error, request, reply) => sendProblem(request, reply, toldOf(error, request)))

  app.setNotFoundHandler((request, reply) => {
    const methods = app.methodsAt(request.url)
    if (methods.includes(request.method)) methods.length = 0 // a route that found nothing below its address
    if (methods.length > 0) reply.header('allow', methods.join(', '))
    const refusal: Refusal =
      methods.length === 0
        ? { code: 'NOT_FOUND', message: 'There is nothing here.' }
        : { code: 'METHOD_NOT_ALLOWED', message: `${request.method} is not among ${methods.join(', ')}.` }
    // No route says whether this was meant for a page or for the API; browsers say what they take.
    const fromBrowser = /\btext\/html\b/.test(request.headers.accept ?? '')
    return fromBrowser ? reply.problemPage(refusal) : sendProblem(request, reply, refusal)
  })
}

export default fp(problems, { name: 'problems' })

/** What a client is told of an error; what is not a known refusal is logged, and the database's part counted. */
export function toldOf(error: unknown, request: FastifyRequest): Refusal {
  const hasLeft = request.raw.socket.destroyed && (error as NodeJS.ErrnoException).code === 'ERR_STREAM_PREMATURE_CLOSE'
  const refusal = hasLeft ? gone : refusalOf(error)
  if (refusal?.code === 'DATABASE_UNAVAILABLE') request.server.meters.onDatabaseError('request')
  if (!refusal) {
    request.log.error({ err: error, reqId: request.id }, 'request failed')
    if (pgErrorCode(error)) request.server.meters.onDatabaseError('statement')
  }
  if (refusal?.code === 'UNSUPPORTED_MEDIA_TYPE') {
    return { ...refusal, message: `${refusal.message} Accepted: ${request.server.acceptedTypes.join(', ')}.` }
  }
  return refusal ?? internal
}

export function sendProblem(request: FastifyRequest, reply: FastifyReply, refusal: Refusal): FastifyReply {
  setRetryAfter(reply, refusal.code)
  if (refusal.code === 'UNSUPPORTED_MEDIA_TYPE') reply.header('accept', request.server.acceptedTypes.join(', '))
  const path = request.url.split('?', 1)[0] ?? '/'
  return reply
    .code(errorCatalogue[refusal.code].status)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(problemOf(refusal, path, request.id))
}

/** Tells when to come again, for refusals that pass. */
export function setRetryAfter(reply: FastifyReply, code: Refusal['code']): void {
  const seconds = retryAfterSeconds[code as keyof typeof retryAfterSeconds]
  if (seconds && !reply.hasHeader('retry-after')) reply.header('retry-after', seconds)
}
