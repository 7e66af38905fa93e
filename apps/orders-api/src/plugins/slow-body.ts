import { OrdersError } from '@orders/orders'
import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  preValidationHookHandler,
} from 'fastify'
import fp from 'fastify-plugin'
import { limits } from '../limits.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route reads its body by itself and bounds the time for that. */
    streamsBody?: boolean
  }
}

const sweepMs = 500

/**
 * Refuses a body that has not arrived in time, and closes its connection. One timer for all requests looks at the
 * oldest ones only, so that a request costs no timer of its own.
 */
async function slowBody(app: FastifyInstance) {
  const arriving = new Map<FastifyRequest, { reply: FastifyReply; since: number }>() // oldest first

  const begin: onRequestHookHandler = (request, reply, done) => {
    if (hasBody(request)) arriving.set(request, { reply, since: performance.now() })
    done()
  }
  const end: preValidationHookHandler = (request, _reply, done) => {
    arriving.delete(request)
    done()
  }
  app.addHook('onRoute', (route) => {
    const takesBody = [route.method].flat().some((method) => /^(POST|PUT|PATCH)$/.test(method))
    if (!takesBody || route.config?.streamsBody) return
    if (route.handlerTimeout) route.handlerTimeout += limits.bodyTimeout // which begins when the body is there
    route.onRequest = [begin, ...[route.onRequest ?? []].flat()]
    route.preValidation = [end, ...[route.preValidation ?? []].flat()]
  })

  function sweep() {
    const latest = performance.now() - limits.bodyTimeout
    for (const [request, { reply, since }] of arriving) {
      if (since > latest) return
      arriving.delete(request)
      if (!request.raw.complete && !reply.sent) refuseLate(request, reply)
    }
  }
  const sweeping = setInterval(sweep, sweepMs).unref()
  app.addHook('onClose', async () => clearInterval(sweeping))
}

export default fp(slowBody, { name: 'slow-body', dependencies: ['problems', 'http-hygiene'] })

function hasBody({ raw: { headers } }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

function refuseLate({ raw }: FastifyRequest, reply: FastifyReply): void {
  for (const event of ['data', 'end', 'error']) raw.removeAllListeners(event) // its parser would answer a second time
  raw.resume()
  reply.header('connection', 'close')
  const seconds = limits.bodyTimeout / 1000
  reply.send(new OrdersError('REQUEST_TIMEOUT', `The body did not arrive within ${seconds} seconds.`))
}
