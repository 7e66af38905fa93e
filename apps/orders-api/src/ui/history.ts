import type { EventPage } from '@orders/orders'
import type { OrderEventType } from '@orders/schema'
import { type Time, timeOf } from './time.ts'

export const eventWords: Record<OrderEventType, string> = {
  'orders.order.placed.v1': 'Placed',
  'orders.order.confirmed.v1': 'Confirmed',
  'orders.order.completed.v1': 'Completed',
  'orders.order.cancelled.v1': 'Cancelled',
  'orders.order.updated.v1': 'Edited',
}

/** The events of an order for its page; `after` is the sequence after which later events follow, if there are any. */
export function historyOf({ events, hasMore }: EventPage) {
  return {
    entries: events.map(({ sequence, type, occurred_at, data }): Entry => {
      const edited = type === 'orders.order.updated.v1' && typeof data.description === 'string'
      return {
        sequence,
        what: eventWords[type],
        time: timeOf(occurred_at),
        ...(edited && { description: data.description as string }),
      }
    }),
    after: hasMore ? events.at(-1)?.sequence : undefined,
  }
}

type Entry = { sequence: number; what: string; time: Time; description?: string }
