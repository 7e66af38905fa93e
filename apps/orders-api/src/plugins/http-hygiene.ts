import { OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { limits } from '../server-options.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route bounds its own time: it needs no handlerTimeout. */
    keepsTime?: boolean
  }
}

const maxHeaders = 64
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
  app.addHook('onRoute', (route) => {
    if (!route.config?.keepsTime) route.handlerTimeout ??= limits.handlerTimeout
  })
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
