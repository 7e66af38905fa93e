import { createDeadLetters, createWebhooks, type DeadLetters, type Quotas, type Webhooks } from '@orders/orders'
import { checkUrl, type Lookup } from '@orders/runtime'
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
  quotas: Quotas
  /** Stand in for those of the database, and for the name servers. */
  given: { webhooks?: Webhooks; deadLetters?: DeadLetters; lookup?: Lookup }
}

/** The use cases of webhooks and of dead letters. */
async function webhooks(app: FastifyInstance, { allowLoopback, quotas, given }: Options) {
  const { database } = app
  const options = { allowLoopback, ...(given.lookup && { lookup: given.lookup }) }
  /** What is sent is guarded anyway, by who sends it: a name may lead elsewhere by then. */
  const refusalOf = async (url: string) => {
    const checked = await checkUrl(url, options)
    return 'refusal' in checked ? checked.refusal : undefined
  }
  app.decorate('webhooks', given.webhooks ?? (await createWebhooks({ database, checkUrl: refusalOf, quotas })))
  app.decorate('deadLetters', given.deadLetters ?? (await createDeadLetters(database)))
}

export default fp(webhooks, { name: 'webhooks', dependencies: ['database'] })
