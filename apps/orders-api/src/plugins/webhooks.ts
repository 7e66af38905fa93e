import { createDeadLetters, createWebhooks, type DeadLetters, type Webhooks } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    webhooks: Webhooks
    deadLetters: DeadLetters
  }
}

type Options = {
  allowLoopback: boolean
  /** Says why nothing may be sent to an address, or undefined. What is sent is guarded anyway, by who sends it. */
  checkUrl?: (url: string) => Promise<string | undefined>
  /** Stand in for those of the database. */
  given: { webhooks?: Webhooks; deadLetters?: DeadLetters }
}

/** The use cases of webhooks and of dead letters. */
async function webhooks(app: FastifyInstance, { allowLoopback, checkUrl = async () => undefined, given }: Options) {
  const { database } = app
  app.decorate('webhooks', given.webhooks ?? (await createWebhooks({ database, allowLoopback, checkUrl })))
  app.decorate('deadLetters', given.deadLetters ?? (await createDeadLetters(database)))
}

export default fp(webhooks, { name: 'webhooks', dependencies: ['database'] })
