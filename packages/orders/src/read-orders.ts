import type { Database } from '@orders/database'
import type { Order, OrderEvent, OrderFilter, OrderPage } from '@orders/schema'
import { createBatcher } from './batcher.ts'
import { notFound } from './change-order.ts'
import { createCursors } from './cursor.ts'
import type { EventStore } from './history/event-store.ts'
import { selectOrders, selectPage } from './order-repository.ts'
import { createRoom } from './page-bytes.ts'
import { type OrderRow, toOrder } from './row.ts'
import { splitRange } from './statistics-range.ts'
import { selectStatistics } from './statistics-repository.ts'

/** `hasMore`: later events follow the last one of `events`. */
export type EventPage = { events: OrderEvent[]; hasMore: boolean }

type Page = { filter: OrderFilter; limit: number; cursor: string | undefined }

export const maxPage = 200
/** Rows that are read at once: a page of large orders is full before all of them are read. */
const stepRows = 50

const ofIndexes = new Set(['project_id', 'created_from', 'created_to'])

/** Whether an index finds the rows of a page: else PostgreSQL may visit all orders of the organisation. */
export const isIndexed = (filter: OrderFilter): boolean =>
  Object.entries(filter).every(([name, value]) => value === undefined || ofIndexes.has(name))

/** Reads. Requests for single orders, and requests for one and the same page, share a query. */
export function createReading(database: Database, history: EventStore, cursorKey: Buffer) {
  const cursors = createCursors(cursorKey)

  const byId = createBatcher<string, Order | undefined>({
    run: async (orgId, ids) => {
      const rows = await database.readInTenant<OrderRow>(orgId, selectOrders(orgId, ids))
      const found = new Map(rows.map((row) => [row.id, row]))
      return ids.map((id) => {
        const row = found.get(id)
        return row && toOrder(row)
      })
    },
    evenly: true,
  })

  // A lane of this batcher is one page of one organisation: all its items have the same answer.
  const pages = createBatcher<{ orgId: string; page: Page; scope: string }, OrderPage>({
    run: async (_lane, items) => {
      const [first] = items
      if (!first) return []
      const page = await readPage(first.orgId, first.page, first.scope)
      return items.map(() => page)
    },
  })

  /** Throws ORDER_NOT_FOUND. */
  async function getOrder(orgId: string, id: string): Promise<Order> {
    const order = await byId.add(orgId, id)
    if (!order) throw notFound(id)
    return order
  }

  /**
   * Newest first. The same object may answer several requests: do not change it. With a signal, a query of its own reads
   * the page until that aborts. Throws CURSOR_INVALID.
   */
  function listOrders(orgId: string, page: Page, signal?: AbortSignal): Promise<OrderPage> {
    const scope = JSON.stringify([orgId, Object.entries(page.filter).sort()])
    if (signal) return readPage(orgId, page, scope, signal)
    return pages.add(`${scope} ${page.limit} ${page.cursor ?? ''}`, { orgId, page, scope })
  }

  async function readPage(
    orgId: string,
    { filter, limit, cursor }: Page,
    scope: string,
    signal?: AbortSignal,
  ): Promise<OrderPage> {
    const size = Math.min(limit, maxPage)
    const data: Order[] = []
    const hasRoom = createRoom()
    let last = cursor === undefined ? undefined : cursors.open(scope, cursor)
    for (let more = true; more && data.length < size; ) {
      const step = Math.min(stepRows, size - data.length)
      const rows = await database.readInTenant<OrderRow>(orgId, selectPage(orgId, filter, step, last), signal)
      more = rows.length > step
      for (const row of rows.slice(0, step)) {
        const order = toOrder(row)
        if (!hasRoom(order)) return { data, next_cursor: last ? cursors.seal(scope, last) : null }
        data.push(order)
        last = row
      }
      if (!more) return { data, next_cursor: null }
    }
    return { data, next_cursor: last ? cursors.seal(scope, last) : null }
  }

  /**
   * Reads the history of an order, oldest first, from the event after the sequence `after`; fewer than `limit` events if
   * they are large. Throws ORDER_NOT_FOUND.
   */
  async function listEvents(orgId: string, id: string, { after = 0, limit = maxPage } = {}): Promise<EventPage> {
    const events: OrderEvent[] = []
    const hasRoom = createRoom()
    for (let more = true; more; ) {
      const step = Math.min(stepRows, limit + 1 - events.length)
      const found = await history.read(orgId, id, { after: events.at(-1)?.sequence ?? after, limit: step })
      for (const event of found) {
        if (events.length === limit || !hasRoom(event)) return { events, hasMore: true }
        events.push(event)
      }
      more = found.length === step
    }
    if (events.length === 0) await getOrder(orgId, id)
    return { events, hasMore: false }
  }

  /**
   * Counts and exact sums per UTC day, currency and status of orders created in [from, to), RFC 3339, as the JSON text of
   * OrderStats.data. `now` in milliseconds since 1970 decides only which part of a day is read.
   */
  async function orderStats(
    orgId: string,
    { from, to, now }: { from: string; to: string; now: number },
    signal?: AbortSignal,
  ): Promise<string> {
    const statement = selectStatistics(orgId, splitRange(from, to, now))
    const [row] = await database.readInTenant<{ data: string }>(orgId, statement, signal)
    return row?.data ?? '[]'
  }

  return { getOrder, listOrders, listEvents, orderStats, idle: () => Promise.all([byId.idle(), pages.idle()]) }
}
