import type { ServerResponse } from 'node:http'
import { getHeapStatistics } from 'node:v8'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyRequest, onSendHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { minBytesPerSecond, queuedBytes } from '../long-responses/read-rate.ts'
import { type Budget, createBudget } from '../outgoing/budget.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Bytes that wait for clients to read them. */
    outgoing: Budget
  }
}

const mebibyte = 1024 * 1024
/** Bytes of a body that is too small to be counted. */
const small = 16_384
/** Milliseconds that every client has, however small the body. */
const graceMs = 10_000
const sweepMs = 1000
const retryAfterSeconds = 10

/** An eighth of the heap, which the memory limit of a container leaves beside it, within bounds. */
const perProcess = Math.min(Math.max(getHeapStatistics().heap_size_limit / 8, 16 * mebibyte), 128 * mebibyte)
export const outgoingBounds = { perProcess, perUser: perProcess / 4 }

/**
 * Bounds the bytes that wait for clients that do not read: a body beyond the bounds of its user is refused with
 * RATE_LIMITED, beyond those of the process with OVERLOADED. A body that is not read at the minimum rate is cut off.
 */
async function outgoing(app: FastifyInstance, { bounds }: { bounds: typeof outgoingBounds | undefined }) {
  const budget = createBudget(bounds ?? outgoingBounds)
  const waiting = new Map<ServerResponse, { deadline: number; untrack: () => void }>()
  const forget = (response: ServerResponse) => {
    waiting.get(response)?.untrack()
    waiting.delete(response)
  }
  app.decorate('outgoing', budget)

  const admit: onSendHookHandler = (request, reply, payload, done) => {
    const bytes = typeof payload === 'string' ? payload.length : Buffer.isBuffer(payload) ? payload.length : 0
    if (bytes < small || reply.statusCode >= 400) return done()
    const { raw } = reply
    // The client left during the query: `close` was emitted and does not follow.
    if (raw.destroyed || raw.closed) return done()
    const userId = userOf(request)
    const full = budget.admit(userId, bytes)
    if (full) {
      app.meters.onRateLimited(`${full}-queued-bytes`)
      reply.header('retry-after', retryAfterSeconds)
      return done(refusalOf(full, budget.perUser))
    }
    const untrack = budget.track({ userId, queued: () => (raw.headersSent ? queuedBytes(raw) : bytes) })
    const deadline = performance.now() + graceMs + (bytes / minBytesPerSecond) * 1000
    waiting.set(raw, { deadline, untrack })
    raw.once('close', () => forget(raw))
    done()
  }
  app.addHook('onRoute', (route) => {
    if ([route.method].flat().includes('GET')) route.onSend = [...[route.onSend ?? []].flat(), admit]
  })

  const sweeping = setInterval(() => {
    for (const [response, { deadline }] of waiting) {
      if (response.destroyed) forget(response)
      if (response.destroyed || performance.now() < deadline || queuedBytes(response) === 0) continue
      app.meters.onSlowReader()
      response.destroy()
    }
  }, sweepMs).unref()
  app.addHook('onClose', async () => clearInterval(sweeping))
}

export default fp(outgoing, { name: 'outgoing', dependencies: ['access'] })

/** Requests without a token have no user, and only the bound of the process applies. */
export const userOf = ({ caller }: FastifyRequest): string | undefined => caller?.user?.id

function refusalOf(full: 'user' | 'process', perUser: number): OrdersError {
  if (full === 'process') return new OrdersError('OVERLOADED', 'Too many bytes wait for slow clients.')
  const bound = `${Math.floor(perUser / mebibyte)} MiB`
  return new OrdersError(
    'RATE_LIMITED',
    `More than ${bound} wait for you to read them: read your other responses first.`,
  )
}
