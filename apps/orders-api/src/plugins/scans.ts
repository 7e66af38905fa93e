import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createSlots } from '../long-responses/concurrency.ts'
import { createScans } from '../long-responses/scans.ts'

declare module 'fastify' {
  interface FastifyInstance {
    scans: ReturnType<typeof createScans>
  }
  interface FastifyReply {
    /**
     * Runs a read that may visit all rows of the organisation, for as long as the client waits for it. Throws RATE_LIMITED
     * and OVERLOADED.
     */
    scan<T>(key: string, work: (signal: AbortSignal) => Promise<T>): Promise<T>
  }
}

/** Of the connections to the database: the other ones are for writes, exports and reads of a few rows. */
const shareOfPool = 0.2
const retryAfterSeconds = 2

/** Bounds the reads that can keep PostgreSQL busy for long, by organisation and in total. `setting` is CONCURRENCY_LIMITS. */
async function scans(app: FastifyInstance, { setting }: { setting: string | undefined }) {
  const most = Math.floor(app.database.poolState().max * shareOfPool)
  const { onRateLimited } = app.meters
  app.decorate('scans', createScans({ slots: createSlots({ setting, onRateLimited, scans: most }) }))

  app.decorateReply('scan', async function scan<T>(this: FastifyReply, key: string, work: Work<T>): Promise<T> {
    const { request } = this
    const holder = { orgId: request.orgId, userId: request.caller.user?.id }
    try {
      return await app.scans.read(`${request.orgId} ${key}`, holder, work, whileConnected(request, this))
    } catch (error) {
      if (error instanceof OrdersError && error.code === 'RATE_LIMITED') this.header('retry-after', retryAfterSeconds)
      throw error
    }
  })
}

type Work<T> = (signal: AbortSignal) => Promise<T>

/** Aborts when the connection of the client closes before its response is complete. */
function whileConnected({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply): AbortSignal {
  const left = new AbortController()
  if (socket.destroyed) left.abort()
  else raw.once('close', () => raw.writableFinished || left.abort())
  return left.signal
}

export default fp(scans, { name: 'scans', dependencies: ['access', 'database', 'metrics'] })
