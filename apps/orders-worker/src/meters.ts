import type { Lag } from '@orders/orders'
import { Counter, collectDefaultMetrics, Gauge, Registry } from '@prometheus-io/client'

const outcomes = ['handed-on', 'postponed', 'buried'] as const

/** Prometheus metrics of one worker. What waits is the same for all of them, and counted when it is asked for. */
export function createMeters(readLag: () => Promise<Lag>) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'orders_events_waiting',
    help: 'Events in the outbox and in the queue, and dead letters; counted up to a million.',
    labelNames: ['where'],
    registers,
    async collect() {
      const { outbox, queue, dead_letters, oldest_seconds } = await readLag()
      this.set({ where: 'outbox' }, outbox)
      this.set({ where: 'queue' }, queue)
      this.set({ where: 'dead_letters' }, dead_letters)
      lag.set(oldest_seconds)
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
  const events = new Counter({
    name: 'order_events_total',
    help: 'Order events written, by type.',
    labelNames: ['type'],
    registers,
  })
  const failures = new Counter({
    name: 'orders_job_failures_total',
    help: 'Turns of a job that failed, and were repeated.',
    labelNames: ['job'],
    registers,
  })
  for (const job of ['move', 'relay', 'prune', 'consume']) failures.inc({ job }, 0)
  return {
    registry,
    onOutcome: (outcome: (typeof outcomes)[number], count: number) => handed.inc({ outcome }, count),
    onEvents: (type: string, count: number) => events.inc({ type }, count),
    onFailure: (job: string) => failures.inc({ job }),
  }
}
