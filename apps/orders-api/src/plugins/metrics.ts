import type { UnhandledError } from '@orders/runtime'
import type { OrderEventType } from '@orders/schema'
import { Counter, Gauge, Histogram, type Registry } from '@prometheus-io/client'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyReply, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { may } from '../access/rules.ts'
import { refusals } from '../api/refusals.ts'
import { type ConcurrencyLimit, concurrencyLimits } from '../long-responses/concurrency.ts'
import { type Limit, limitNames } from '../rate-limits/figures.ts'
import type { RequestHistogram } from './request-histogram.ts'
import { observeFirstBytes } from './time-to-first-byte.ts'

declare module 'fastify' {
  interface FastifyInstance {
    meters: ReturnType<typeof createMeters>
  }
}

/**
 * What went wrong with the database: an open connection broke, a request or a probe was not answered in time or at all,
 * or PostgreSQL refused a statement that the service should not have sent.
 */
export type DatabaseFault = (typeof databaseFaults)[number]
const databaseFaults = ['connection', 'request', 'probe', 'statement'] as const

/** Rate limits, limits of long responses, and bounds of the bytes that wait for clients. */
const refusedBy = [...limitNames, ...concurrencyLimits, 'user-queued-bytes', 'process-queued-bytes'] as const
type RefusedBy = Limit | ConcurrencyLimit | 'user-queued-bytes' | 'process-queued-bytes'

const description = {
  method: 'GET',
  logLevel: 'fatal',
  config: { rateLimit: false },
  schema: {
    ...may.anyone,
    summary: 'Metrics for Prometheus',
    tags: ['operations'],
    response: {
      200: { description: 'The text format.', content: { 'text/plain': { schema: Type.String() } } },
      ...refusals(),
    },
  },
} satisfies Omit<RouteOptions, 'url' | 'handler'>

/** Prometheus metrics, of this instance only. With `endpoint: null` nothing is served here: another port does. */
async function metrics(app: FastifyInstance, { endpoint }: { endpoint: '/metrics' | null }) {
  const registry = app.metricsRegistry
  app.decorate('meters', createMeters(app, registry))
  observeFirstBytes(app, registry.getSingleMetric('http_request_duration_seconds') as RequestHistogram)
  if (endpoint)
    app.route({ ...description, url: endpoint, handler: (_request, reply) => app.meters.answerScrape(reply) })
}

export default fp(metrics, { name: 'metrics', dependencies: ['request-metrics', 'database', 'rate-limits'] })

function createMeters(app: FastifyInstance, registry: Registry) {
  const registers = [registry]
  new Gauge({
    name: 'orders_database_connections',
    help: 'Connections of the pool by state, requests that wait for one, and the most there may be.',
    labelNames: ['state'],
    registers,
    collect() {
      const { total, idle, waiting, max } = app.database.poolState()
      for (const [state, value] of Object.entries({ used: total - idle, idle, waiting, max }))
        this.set({ state }, value)
    },
  })
  new Gauge({
    name: 'orders_database_durable',
    help: '1 while the database keeps acknowledged commits in a crash, 0 while writes are refused because it does not.',
    registers,
    collect() {
      this.set(app.database.durabilityFault() === undefined ? 1 : 0)
    },
  })
  new Gauge({
    name: 'orders_batch_waiting',
    help: 'Orders that wait for a flush.',
    registers,
    collect() {
      this.set(app.orders.waiting())
    },
  })
  const batch = new Histogram({
    name: 'orders_batch_size',
    help: 'Orders placed by one statement.',
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    registers,
  })
  const placed = new Counter({ name: 'orders_placed_total', help: 'Orders placed.', registers })
  const events = new Counter({
    name: 'order_events_total',
    help: 'Order events written, by type.',
    labelNames: ['type'],
    registers,
  })
  const databaseErrors = new Counter({
    name: 'orders_database_errors_total',
    help: 'Database errors: connections that broke, requests and probes without an answer, statements refused.',
    labelNames: ['kind'],
    registers,
  })
  // A series that is born with its first error shows no increase: that error would raise no alert.
  for (const kind of databaseFaults) databaseErrors.inc({ kind }, 0)
  const rateLimited = new Counter({
    name: 'orders_rate_limited_total',
    help: 'Total number of requests refused by a limit, by its name.',
    labelNames: ['limit'],
    registers,
  })
  for (const limit of refusedBy) rateLimited.inc({ limit }, 0)
  if (app.rateLimits?.isShared() !== undefined) {
    new Gauge({
      name: 'orders_rate_limits_shared',
      help: '1 while Redis counts the rate limits of all processes, 0 while it does not answer.',
      registers,
      collect() {
        this.set(app.rateLimits?.isShared() ? 1 : 0)
      },
    })
  }
  new Gauge({
    name: 'orders_stream_readers',
    help: 'Clients that listen to events.',
    registers,
    collect() {
      this.set(app.orderStream.readers())
    },
  })
  const streamCuts = new Counter({
    name: 'orders_stream_cuts_total',
    help: 'Clients that were cut off, as they read too slowly.',
    registers,
  })
  const slowReaders = new Counter({
    name: 'orders_slow_readers_total',
    help: 'Total number of responses cut off because the client read too slowly, streams excluded.',
    registers,
  })
  new Gauge({
    name: 'orders_outgoing_queued_bytes',
    help: 'Bytes of responses that wait in this process for clients to read them.',
    registers,
    collect() {
      this.set(app.outgoing.queued())
    },
  })
  const unhandled = new Counter({
    name: 'orders_unhandled_errors_total',
    help: 'Total number of errors that no code handled, by kind. The process drains and exits after the first.',
    labelNames: ['kind'],
    registers,
  })
  for (const kind of ['unhandledRejection', 'uncaughtException'] as const) unhandled.inc({ kind }, 0)
  const scrapeErrors = new Counter({
    name: 'orders_metrics_handler_errors_total',
    help: 'Scrapes of /metrics that failed.',
    registers,
  })
  return {
    registry,
    onBatch: (size: number) => batch.observe(size),
    onEvents: (type: OrderEventType, count: number) => {
      events.inc({ type }, count)
      if (type === 'orders.order.placed.v1') placed.inc(count)
    },
    onDatabaseError: (kind: DatabaseFault) => databaseErrors.inc({ kind }),
    onRateLimited: (limit: RefusedBy) => rateLimited.inc({ limit }),
    onStreamCut: () => streamCuts.inc(),
    onSlowReader: () => slowReaders.inc(),
    onUnhandledError: (kind: UnhandledError) => unhandled.inc({ kind }),
    /** Answers Prometheus with every series; a failure is a 500, and counted for the next scrape to tell. */
    async answerScrape(reply: FastifyReply): Promise<FastifyReply> {
      try {
        return reply.type(registry.contentType).send(await registry.metrics())
      } catch (error) {
        scrapeErrors.inc()
        app.log.error({ err: error }, 'metrics could not be collected')
        throw error
      }
    },
  }
}
