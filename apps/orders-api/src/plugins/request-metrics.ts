import client, { Counter, Registry } from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import fp from 'fastify-plugin'
import { RequestHistogram } from './request-histogram.ts'

declare module 'fastify' {
  interface FastifyInstance {
    metricsRegistry: Registry
  }
}

const seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.3, 0.5, 1, 2.5, 5, 10]

/**
 * Counts and times requests. Register it before every plugin that may reject a request: a request that is rejected by an
 * earlier hook is not counted.
 */
async function requestMetrics(app: FastifyInstance) {
  const registry = new Registry()
  app.decorate('metricsRegistry', registry)
  await app.register(fastifyMetrics.default, {
    endpoint: null,
    promClient: { ...client, Histogram: RequestHistogram } as typeof client,
    // Ten times a second, as by default, the utilisation is a third of what an idle process takes of a core.
    defaultMetrics: { enabled: true, register: registry, eventLoopUtilizationTimeout: 1000 },
    routeMetrics: {
      enabled: { histogram: true, summary: false },
      registeredRoutesOnly: false,
      invalidRouteGroup: 'unknown', // every address that is none makes one series
      methodBlacklist: [],
      overrides: {
        labels: { route: 'handler', status: 'status' },
        histogram: { buckets: seconds, registers: [registry] },
        summary: { registers: [registry] },
      },
    },
  })
  countRequests(registry)
}

export default fp(requestMetrics, { name: 'request-metrics' })

/** Costs nothing on the path of a request: the histogram has counted already. */
function countRequests(registry: Registry): void {
  new Counter({
    name: 'http_requests_total',
    help: 'Requests answered.',
    labelNames: ['handler', 'method', 'status'],
    registers: [registry],
    async collect() {
      const durations = await registry.getSingleMetric('http_request_duration_seconds')?.get()
      this.reset()
      for (const entry of durations?.values ?? []) {
        const { metricName, labels, value } = entry as typeof entry & { metricName?: string }
        if (metricName?.endsWith('_count')) this.inc(labels, value)
      }
    },
  })
}
