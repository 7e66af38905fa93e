import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { limits } from '../limits.ts'
import { refuseConnection } from '../refuse-connection.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route bounds its own time: it needs no handlerTimeout. */
    keepsTime?: boolean
  }
  interface FastifyInstance {
    /** From now on an answer is the last one of its connection. */
    closeConnections: () => void
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

/** The headers of every answer, whoever gives it. */
export const answerHeaders = (version: string) => ({ ...headers, 'x-orders-version': version })

/** The headers that every answer has. Too many headers are refused here: lowering Node's own count would drop some. */
async function httpHygiene(app: FastifyInstance, { version }: { version: string }) {
  app.addHook('onRoute', (route) => {
    if (!route.config?.keepsTime) route.handlerTimeout ??= limits.handlerTimeout
  })
  // Node would answer these two by itself, without a problem document.
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  app.server.on('connect', (_request, socket) =>
    refuseConnection.call(app, new Error('CONNECT is for proxies'), socket),
  )
  let common: Record<string, string> = answerHeaders(version)
  app.decorate('closeConnections', () => {
    common = { ...common, connection: 'close' }
  })
  const served = new WeakMap<Socket, number>()
  app.addHook('onRequest', (request, reply, done) => {
    reply.headers(common)
    reply.header('x-request-id', request.id)
    const { socket } = request.raw
    const count = (served.get(socket) ?? 0) + 1
    served.set(socket, count)
    if (count >= limits.requestsPerSocket) reply.header('connection', 'close')
    // Pipelined behind the last request, so its answer is never sent: the client has to ask again anyway.
    if (count > limits.requestsPerSocket) return done(new OrdersError('OVERLOADED', 'The connection is closing.'))
    done(faultOf(request.raw))
  })
}

export default fp(httpHygiene, { name: 'http-hygiene' })

/** What HTTP leaves to the server to refuse. Two readers of such a request could take it for different ones. */
function faultOf({ method, url = '', headers, rawHeaders, httpVersion }: IncomingMessage): OrdersError | undefined {
  if (rawHeaders.length > maxHeaders * 2) {
    return new OrdersError('HEADERS_TOO_LARGE', `A request has at most ${maxHeaders} headers.`)
  }
  if (sizeOf(url, rawHeaders) > limits.headerSize) {
    return new OrdersError('HEADERS_TOO_LARGE', `The headers have at most ${limits.headerSize} bytes beside the token.`)
  }
  if ((headers.host === undefined && httpVersion === '1.1') || isRepeated(rawHeaders, 'host')) {
    return new OrdersError('BAD_REQUEST', 'A request has one Host header.')
  }
  if (headers['transfer-encoding'] !== undefined && headers['transfer-encoding'].toLowerCase() !== 'chunked') {
    return new OrdersError('BAD_REQUEST', 'The one Transfer-Encoding taken is chunked.')
  }
  const takesBody = method?.startsWith('P') // PATCH, POST, PUT
  if (takesBody && (headers['content-encoding'] ?? 'identity') !== 'identity') {
    return new OrdersError('UNSUPPORTED_MEDIA_TYPE', 'Send the body as it is, without a Content-Encoding.')
  }
  if (takesBody && isRepeated(rawHeaders, 'content-type')) {
    return new OrdersError('UNSUPPORTED_MEDIA_TYPE', 'A request has one Content-Type header.')
  }
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== '100-continue') {
    return new OrdersError('EXPECTATION_FAILED', 'The one expectation that can be met is 100-continue.')
  }
  return undefined
}

/** Bytes of the request line and the headers, about as they were sent. */
function sizeOf(url: string, rawHeaders: string[]): number {
  let size = url.length
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    if (name.length !== 13 || name.toLowerCase() !== 'authorization') size += name.length + value.length + 4
  }
  return size
}

function isRepeated(rawHeaders: string[], name: string): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const header = rawHeaders[i] as string
    if (header.length === name.length && header.toLowerCase() === name) count++
  }
  return count > 1
}
