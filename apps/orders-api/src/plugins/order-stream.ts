import { listen } from '@orders/database'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { createHub } from '../stream/hub.ts'

declare module 'fastify' {
  interface FastifyInstance {
    orderStream: ReturnType<typeof createHub>
  }
}

type Options = {
  databaseUrl: string
  /** Milliseconds in which a reader has to take what waits for it. */
  patienceMs?: number | undefined
}

const beatMs = 10_000

/** Of the connections to the database, for events of all streams: see shareOfPool of exports and scans. */
const shareOfPool = 0.2

/** The hub of order events. */
async function orderStream(app: FastifyInstance, { databaseUrl, patienceMs = 20_000 }: Options) {
  const reads = Math.max(1, Math.floor(app.database.poolState().max * shareOfPool))
  const stream = createHub({ app, patienceMs, reads })
  app.decorate('orderStream', stream)
  let notifications: ReturnType<typeof listen> | undefined
  app.addHook('onReady', async () => {
    notifications = listen(databaseUrl, 'events', stream.lookFor, () => stream.lookFor())
  })
  const beat = setInterval(() => stream.beat(), beatMs).unref()
  app.addHook('preClose', async () => {
    clearInterval(beat)
    await notifications?.close()
  })
}

export default fp(orderStream, { name: 'order-stream', dependencies: ['orders', 'outgoing', 'long-responses'] })
