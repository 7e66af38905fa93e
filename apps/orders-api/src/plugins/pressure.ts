import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import { getHeapStatistics } from 'node:v8'
import underPressure from '@fastify/under-pressure'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

const sampleInterval = 1000 // milliseconds
const maxDelay = 200 // milliseconds
const resolution = 10 // milliseconds
const maxUsedBytes = getHeapStatistics().heap_size_limit * 0.8

/** Memory of objects and, outside the heap, of buffers: what waits for clients is there. */
export function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/**
 * Returns a function that reports whether the event loop was late in the last two samples. One late sample is not enough:
 * the stall is over by the time it is measured, and rejecting requests would only add errors.
 */
function watchDelay(histogram: IntervalHistogram): () => boolean {
  let wasLate = false
  return () => {
    // The mean is not a number if the event loop did not turn at all.
    const isLate = !(histogram.mean / 1e6 - resolution <= maxDelay)
    histogram.reset()
    const staysLate = isLate && wasLate
    wasLate = isLate
    return staysLate
  }
}

/**
 * Rejects requests while the event loop stays late or the memory is nearly full. It ignores utilisation: a process that
 * answers everything in time may well be busy all the time. /livez always answers, or a busy process would be killed.
 */
async function pressure(app: FastifyInstance) {
  // The first sample holds the start itself, which must not refuse the first callers.
  let measuredFrom = Number.POSITIVE_INFINITY
  app.addHook('onListen', async () => {
    measuredFrom = performance.now() + 2 * sampleInterval
  })
  const histogram = monitorEventLoopDelay({ resolution })
  histogram.enable()
  app.addHook('onClose', async () => void histogram.disable())
  const staysLate = watchDelay(histogram)
  await app.register(underPressure, {
    healthCheck: async () => !staysLate() && usedBytes() < maxUsedBytes,
    healthCheckInterval: sampleInterval,
    pressureHandler(request) {
      if (request.url === '/livez' || performance.now() < measuredFrom) return
      throw new OrdersError('OVERLOADED', 'The service is too busy to take this request.')
    },
  })
}

export default fp(pressure, { name: 'pressure' })
