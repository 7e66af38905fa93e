import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

/**
 * Refuses work while the event loop is late or the heap nearly full. Its utilisation is not looked at: a process that
 * answers everything in time may well be busy all the time. /livez always answers, or a busy process would be killed.
 */
async function pressure(app: FastifyInstance) {
  await app.register(underPressure, {
    maxEventLoopDelay: 200,
    maxHeapUsedBytes: getHeapStatistics().heap_size_limit * 0.8,
    pressureHandler(request) {
      if (request.url !== '/livez') throw new OrdersError('OVERLOADED', 'The service is too busy to take this request.')
    },
  })
}

export default fp(pressure, { name: 'pressure' })
