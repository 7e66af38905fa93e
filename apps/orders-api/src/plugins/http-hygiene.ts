import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

const maxHeaders = 64
const requestIdPattern = /^[A-Za-z0-9._-]{1,64}$/
const traceparentPattern = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/

/** What the caller calls the request, else its trace, else a new id. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const own = headers['x-request-id']
  if (typeof own === 'string' && requestIdPattern.test(own)) return own
  const trace = traceparentPattern.exec(String(headers.traceparent ?? ''))
  return trace?.[1] ?? randomUUID()
}

// The pages override the policies that a document needs.
const headers = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=63072000; includeSubDomains',
  'x-content-type-options': 'nosniff',
}

/** The headers that every answer has. Too many headers are refused here: lowering Node's own count would drop some. */
async function httpHygiene(app: FastifyInstance, { version }: { version: string }) {
  const common = { ...headers, 'x-orders-version': version }
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(common)
    reply.header('x-request-id', request.id)
    if (request.raw.rawHeaders.length > maxHeaders * 2) {
      done(new OrdersError('HEADERS_TOO_LARGE', `A request has at most ${maxHeaders} headers.`))
    } else done()
  })
}

export default fp(httpHygiene, { name: 'http-hygiene' })
