import { createOrders, type Orders } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { answerFor } from '../api/answer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    orders: Orders
  }
}

/** The use cases of orders; closing waits for every batch, before the pool ends. */
async function orders(app: FastifyInstance, { defaultCurrency }: { defaultCurrency: string }) {
  const { database, meters } = app
  const { onBatch, onEvents } = meters
  app.decorate('orders', await createOrders({ database, defaultCurrency, answerFor, onBatch, onEvents }))
  app.addHook('onClose', () => app.orders.idle())
}

export default fp(orders, { name: 'orders', dependencies: ['database', 'metrics'] })
