import type { Histogram } from '@prometheus-io/client'
import type { FastifyInstance } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The duration of a request ends with the first byte of its response: the client decides how long it lasts. */
    timeToFirstByte?: boolean
    /** Read by fastify-metrics. */
    disableMetrics?: boolean
  }
}

/**
 * Measures the routes with `timeToFirstByte` when their headers are sent, and keeps fastify-metrics from measuring them
 * when their response ends. Applies to routes that are added after this call.
 */
export function observeFirstBytes(app: FastifyInstance, durations: Histogram<'handler' | 'method' | 'status'>): void {
  app.addHook('onRoute', (route) => {
    if (!route.config?.timeToFirstByte) return
    route.config.disableMetrics = true
    const observe: NonNullable<typeof route.onSend> = (request, reply, payload, done) => {
      const labels = { method: request.method, handler: route.url, status: reply.statusCode }
      durations.observe(labels, reply.elapsedTime / 1000)
      done(null, payload)
    }
    route.onSend = [...[route.onSend ?? []].flat(), observe]
  })
}
