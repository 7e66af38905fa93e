import type { Database } from '@orders/database'
import type { Order, OrderEventType } from '@orders/schema'
import { createChanging } from './change-order.ts'
import { readCursorKey } from './cursor.ts'
import { createEventLog } from './event-log.ts'
import { createExporting } from './export-orders.ts'
import { createPostgresHistory, type EventStore } from './history/event-store.ts'
import { createImporting } from './import-orders.ts'
import { createOrderQuota } from './order-quota.ts'
import { createPlacing } from './place-order.ts'
import type { StoredAnswer } from './placement-repository.ts'
import type { Quotas } from './quotas.ts'
import { createReading } from './read-orders.ts'

type Options = {
  database: Database
  /** Where histories are read; without it, in the database. */
  history?: EventStore | undefined
  /** ISO 4217 code of orders that name none. */
  defaultCurrency: string
  /** What is answered, and replayed, for an order that was created or that was there already. */
  answerFor: (order: Order, created: boolean) => StoredAnswer
  quotas?: Quotas
  /** Told the number of requests in each flush. */
  onBatch: (size: number) => void
  /** Told of events that have been committed. */
  onEvents: (type: OrderEventType, count: number) => void
}

export type Orders = Awaited<ReturnType<typeof createOrders>>

/** The use cases of orders. `orgId` is always the organisation that the caller acts in. */
export async function createOrders(options: Options) {
  const { database, history = createPostgresHistory(database) } = options
  const quota = createOrderQuota(database, options.quotas)
  const placing = createPlacing({ ...options, quota })
  const reading = createReading(database, history, await readCursorKey(database))
  const importing = createImporting({ ...options, quota })
  return {
    ...createChanging(database, quota, options.onEvents),
    ...createExporting(database),
    ...createEventLog(database),
    importOrders: importing.importOrders,
    placeOrder: placing.placeOrder,
    getOrder: reading.getOrder,
    listOrders: reading.listOrders,
    listEvents: reading.listEvents,
    orderStats: reading.orderStats,
    /** Requests that wait for a batch. */
    waiting: placing.waiting,
    /** Resolves when every batch has been answered. */
    idle: async () => void (await Promise.all([placing.idle(), importing.idle(), reading.idle()])),
  }
}
