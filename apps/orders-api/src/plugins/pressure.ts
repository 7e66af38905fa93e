import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

const sampleInterval = 1000 // milliseconds

/**
 * Refuses work while the event loop is late or the heap nearly full. Its utilisation is not looked at: a process that
 * answers everything in time may well be busy all the time. /livez always answers, or a busy process would be killed.
 */
async function pressure(app: FastifyInstance) {
  // The first sample holds the start itself, which must not refuse the first callers.
  let measuredFrom = Number.POSITIVE_INFINITY
  app.addHook('onListen', async () => {
    measuredFrom = performance.now() + 2 * sampleInterval
  })
  await app.register(underPressure, {
    sampleInterval,
    maxEventLoopDelay: 200,
    maxHeapUsedBytes: getHeapStatistics().heap_size_limit * 0.8,
    pressureHandler(request) {
      if (request.url === '/livez' || performance.now() < measuredFrom) return
      throw new OrdersError('OVERLOADED', 'The service is too busy to take this request.')
    },
  })
}

export default fp(pressure, { name: 'pressure' })
