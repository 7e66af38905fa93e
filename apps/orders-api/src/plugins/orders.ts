import { createOrders, type Orders } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { answerFor } from '../api/answer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    orders: Orders
  }
}

type Options = {
  defaultCurrency: string
  /** Stands in for those of the database. */
  orders?: Orders | undefined
}

/** The use cases of orders; closing waits for every batch, before the pool ends. */
async function orders(app: FastifyInstance, { defaultCurrency, orders }: Options) {
  const { database, meters } = app
  const { onBatch, onEvents } = meters
  app.decorate('orders', orders ?? (await createOrders({ database, defaultCurrency, answerFor, onBatch, onEvents })))
  app.addHook('onClose', () => app.orders.idle())
}

export default fp(orders, { name: 'orders', dependencies: ['database', 'metrics'] })
