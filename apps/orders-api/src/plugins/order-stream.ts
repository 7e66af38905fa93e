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

/** The hub of order events. It uses at most two of five connections of the pool. */
async function orderStream(app: FastifyInstance, { databaseUrl, patienceMs = 20_000 }: Options) {
  const reads = Math.max(1, Math.floor(app.database.poolState().max * 0.4))
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
