import { createOrders, type Orders, openHistory, type Quotas } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { answerFor } from '../api/answer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    orders: Orders
  }
}

const tellEveryMs = 50

type Options = {
  defaultCurrency: string
  /** See HISTORY_COSMOS_ENDPOINT. */
  cosmosEndpoint: string | undefined
  cosmosDatabase: string
  quotas: Quotas
  /** Stands in for those of the database. */
  orders?: Orders | undefined
}

/** The use cases of orders; closing waits for every batch, before the pool ends. */
async function orders(app: FastifyInstance, options: Options) {
  const { defaultCurrency, cosmosEndpoint, cosmosDatabase, quotas, orders } = options
  const { database, meters } = app
  const { onBatch } = meters
  let telling: NodeJS.Timeout | undefined
  let toldAt = 0
  /** Wakes the workers, at once and then for many events together: a NOTIFY in each commit would make commits wait in line. */
  const tellWorkers = () => {
    telling ??= setTimeout(tell, Math.max(0, toldAt + tellEveryMs - performance.now())).unref()
  }
  const tell = () => {
    telling = undefined
    toldAt = performance.now()
    const text = "SELECT pg_notify('events', '')"
    // Workers that are not told look by themselves.
    database.runGlobal({ name: 'tell_workers', text, values: [] }).catch(() => {})
  }
  const onEvents: typeof meters.onEvents = (type, count) => {
    meters.onEvents(type, count)
    if (count > 0) tellWorkers()
  }
  const history = await openHistory({
    database,
    cosmosEndpoint,
    cosmosDatabase,
    onAway: (error) => app.log.warn({ err: error }, 'Cosmos DB does not answer: histories are read from the database'),
  })
  const open = () => createOrders({ database, history, defaultCurrency, quotas, answerFor, onBatch, onEvents })
  app.decorate('orders', orders ?? (await open()))
  app.addHook('onClose', async () => {
    clearTimeout(telling)
    await app.orders.idle()
    await history.close()
  })
}

export default fp(orders, { name: 'orders', dependencies: ['database', 'metrics'] })
