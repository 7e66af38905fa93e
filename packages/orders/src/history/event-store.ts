import type { Database } from '@orders/database'
import type { OrderEvent } from '@orders/schema'
import { selectEvents } from '../event-repository.ts'
import type { Outcome } from '../relay.ts'
import { type EventRow, toEvent } from '../row.ts'

export type StoredEvent = OrderEvent & { org_id: string }

/** Where the history of orders is kept. */
export interface EventStore {
  /**
   * Keeps events, each once by organisation, order and sequence, in whatever order and however often they come. Answers an
   * outcome each; does not reject.
   */
  append(events: StoredEvent[]): Promise<Outcome[]>
  /** Up to `limit` events of an order, in order, from the one after the sequence `after`; none if there is no such order. */
  read(orgId: string, orderId: string, range: { after: number; limit: number }): Promise<OrderEvent[]>
  close(): Promise<void>
}

/** The events in the database, which every change of an order writes in its own transaction: nothing is left to append. */
export function createPostgresHistory(database: Database): EventStore {
  return {
    append: async (events) => events.map(() => undefined),
    async read(orgId, orderId, { after, limit }) {
      const rows = await database.readInTenant<EventRow>(orgId, selectEvents(orgId, orderId, after, limit))
      return rows.map(toEvent)
    },
    close: async () => {},
  }
}

/**
 * A copy of the history in front of the history itself. The copy lags, may lack events, and may be away: the events of an
 * order are counted without a gap, so what it lacks shows, and comes from the original. What is read is always the whole.
 */
export function createMergedHistory(copy: EventStore, original: EventStore): EventStore {
  return {
    append: copy.append,
    async read(orgId, orderId, { after, limit }) {
      // The copy has told of its failure, and the reader does not depend on it.
      const copied = await copy.read(orgId, orderId, { after, limit }).catch(() => [])
      const gap = copied.findIndex(({ sequence }, i) => sequence !== after + 1 + i)
      const events = gap === -1 ? copied : copied.slice(0, gap)
      if (events.length === limit) return events
      const rest = { after: after + events.length, limit: limit - events.length }
      return [...events, ...(await original.read(orgId, orderId, rest))]
    },
    close: async () => void (await Promise.all([copy.close(), original.close()])),
  }
}
