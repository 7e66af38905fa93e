import { Counter, Gauge, type Registry } from '@prometheus-io/client'
import type { Direction } from './broker.ts'
import type { Consumed } from './receiver.ts'

const directions: Direction[] = ['publish', 'consume']
const published = ['accepted', 'refused'] as const
const consumed: Consumed[] = ['processed', 'released', 'rejected']

/** What a worker with a broker counts besides. */
export function createBrokerMeters(registry: Registry) {
  const registers = [registry]
  const up = new Gauge({
    name: 'orders_broker_up',
    help: '1 while the connection to the broker can be used.',
    labelNames: ['direction'],
    registers,
  })
  for (const direction of directions) up.set({ direction }, 0)
  const sent = new Counter({
    name: 'orders_broker_published_total',
    help: 'Events that the broker accepted, or refused.',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of published) sent.inc({ outcome }, 0)
  const taken = new Counter({
    name: 'orders_broker_consumed_total',
    help: 'Events from the broker that had their effect, went back to it, or to its dead letters.',
    labelNames: ['outcome'],
    registers,
  })
  for (const outcome of consumed) taken.inc({ outcome }, 0)
  return {
    onChange: (direction: Direction, isUp: boolean) => up.set({ direction }, isUp ? 1 : 0),
    onPublished: (outcome: (typeof published)[number], count: number) => sent.inc({ outcome }, count),
    onConsumed: (outcome: Consumed, count: number) => taken.inc({ outcome }, count),
  }
}
