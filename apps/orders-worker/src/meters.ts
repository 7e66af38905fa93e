import { type Lag, prunedTables, tablesOfGuests } from '@orders/orders'
import type { UnhandledError } from '@orders/runtime'
import { Counter, collectDefaultMetrics, Gauge, Registry } from '@prometheus-io/client'

const outcomes = ['handed-on', 'postponed', 'buried'] as const

type Reads = {
  relay: () => Promise<Lag>
  deliveries: () => Promise<{ failing: number; oldest_seconds: number }>
  statistics: () => Promise<number>
}

/**
 * Prometheus metrics of one worker. What waits is the same for all of them, and counted when it is asked for; while the
 * database is away, it stays as it was.
 */
export function createMeters(read: Reads) {
  const registry = new Registry()
  const registers = [registry]
  // It looks at its event loop 10 times a second, and not 100, and counts its utilisation once, and not 10 times: that was
  // more than half of what an idle worker takes of a core. The percentiles of the lag include the time between two looks.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 100, eventLoopUtilizationTimeout: 1000 })
  new Gauge({
    name: 'orders_events_waiting',
    help: 'Events in the outbox and in the queue, and dead letters; counted up to a million.',
    labelNames: ['where'],
    registers,
    async collect() {
      const found = await read.relay().catch(() => undefined)
      if (!found) return
      for (const where of ['outbox', 'queue', 'dead_letters'] as const) this.set({ where }, found[where])
      lag.set(found.oldest_seconds)
    },
  })
  const lag = new Gauge({
    name: 'orders_events_lag_seconds',
    help: 'For how long the oldest event that has not left has waited.',
    registers,
  })
  const handed = new Counter({
    name: 'orders_events_relayed_total',
    help: 'Events that were handed on, put off, or given up.',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of outcomes) handed.inc({ outcome }, 0)
  new Gauge({
    name: 'orders_webhooks_failing',
    help: 'Webhooks whose last delivery failed.',
    registers,
    async collect() {
      const found = await read.deliveries().catch(() => undefined)
      if (!found) return
      this.set(found.failing)
      deliveryLag.set(found.oldest_seconds)
    },
  })
  const deliveryLag = new Gauge({
    name: 'orders_webhooks_lag_seconds',
    help: 'For how long the oldest delivery that is due has waited, of webhooks that do not fail.',
    registers,
  })
  new Gauge({
    name: 'orders_statistics_changes_waiting',
    help: 'Changes of the order statistics that are not folded into the rollup yet, up to a million.',
    registers,
    async collect() {
      const waiting = await read.statistics().catch(() => undefined)
      if (waiting !== undefined) this.set(waiting)
    },
  })
  const deliveries = new Counter({
    name: 'orders_webhook_sends_total',
    help: 'Messages sent to webhooks: taken, to be sent again, or given up.',
    labelNames: ['state'],
    registers,
  })
  for (const state of ['delivered', 'pending', 'failed']) deliveries.inc({ state }, 0)
  const events = new Counter({
    name: 'order_events_total',
    help: 'Order events written, by type.',
    labelNames: ['type'],
    registers,
  })
  const failures = new Counter({
    name: 'orders_job_failures_total',
    help: 'Turns of a job that failed, and were repeated.',
    labelNames: ['task'],
    registers,
  })
  for (const task of [
    ...['move', 'relay', 'fan-out', 'deliver', 'prune', 'remove-guests'],
    ...['fold-statistics', 'backfill-statistics', 'consume'],
  ])
    failures.inc({ task }, 0)
  const removed = new Counter({
    name: 'orders_rows_removed_total',
    help: 'Total number of rows deleted because of their age or with an inactive guest, by table.',
    labelNames: ['table'],
    registers,
  })
  for (const table of [...prunedTables, ...tablesOfGuests]) removed.inc({ table }, 0)
  const unhandled = new Counter({
    name: 'orders_unhandled_errors_total',
    help: 'Total number of errors that no code handled, by kind. The process drains and exits after the first.',
    labelNames: ['kind'],
    registers,
  })
  for (const kind of ['unhandledRejection', 'uncaughtException'] as const) unhandled.inc({ kind }, 0)
  return {
    registry,
    onOutcome: (outcome: (typeof outcomes)[number], count: number) => handed.inc({ outcome }, count),
    onDelivery: (state: string) => deliveries.inc({ state }),
    onEvents: (type: string, count: number) => events.inc({ type }, count),
    onFailure: (job: string) => failures.inc({ task: job }),
    onRemoved: (table: string, rows: number) => removed.inc({ table }, rows),
    onUnhandledError: (kind: UnhandledError) => unhandled.inc({ kind }),
  }
}
