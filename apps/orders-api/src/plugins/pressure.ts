import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

const sampleInterval = 1000 // milliseconds
const maxUsedBytes = getHeapStatistics().heap_size_limit * 0.8

/** Memory of objects and, outside the heap, of buffers: what waits for clients is there. */
export function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/**
 * Refuses work while the event loop is late or the memory nearly full. Its utilisation is not looked at: a process that
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
    healthCheck: async () => usedBytes() < maxUsedBytes,
    healthCheckInterval: sampleInterval,
    pressureHandler(request) {
      if (request.url === '/livez' || performance.now() < measuredFrom) return
      throw new OrdersError('OVERLOADED', 'The service is too busy to take this request.')
    },
  })
}

export default fp(pressure, { name: 'pressure' })
