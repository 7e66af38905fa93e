import type { Order, OrderEvent, OrderEventType, OrderStatus } from '@orders/schema'

/** An order as PostgreSQL sends it: exact decimal text, and times as text in UTC with microseconds. */
export type OrderRow = Omit<Order, 'amount' | 'status'> & { amount: string; status: string }

export const orderColumns = [
  'id',
  'org_id',
  'project_id',
  'amount',
  'currency',
  'status',
  'description',
  'metadata',
  'created_at',
  'updated_at',
  'version',
] as const

/**
 * What the orders of one statement are grouped by for its rows of the outbox: at most 500 in each, of numbers beside each
 * other. Rows leave whole, and a row of thousands would keep the database from everybody else for so long.
 */
export const outboxRow = 'number / 500'

// Look-ups by key: whatever a planner thinks of young tables, LIMIT 1 keeps it from reading all of one and joining it.

/** The order `o` of what an alias names by org_id and order_id. */
export const lateralOrder = (of: string) =>
  `LATERAL (SELECT * FROM orders WHERE org_id = ${of}.org_id AND id = ${of}.order_id LIMIT 1) o`

/** The event `e` of that order `o`, of what the alias names by sequence. */
export const lateralEvent = (of: string) =>
  `LATERAL (SELECT * FROM order_events
    WHERE org_id = o.org_id AND order_number = o.number AND sequence = ${of}.sequence LIMIT 1) e`

export function toOrder(row: OrderRow): Order {
  return {
    id: row.id,
    org_id: row.org_id,
    project_id: row.project_id,
    amount: Number(row.amount),
    currency: row.currency,
    status: row.status as OrderStatus,
    description: row.description,
    metadata: row.metadata,
    created_at: toRfc3339(row.created_at),
    updated_at: toRfc3339(row.updated_at),
    version: row.version,
  }
}

/** An event, and the order as it was after it. */
export type EventRow = OrderRow & { event_id: string; type: OrderEventType }

export function toEvent(row: EventRow): OrderEvent {
  const data = toOrder(row)
  return {
    id: row.event_id,
    type: row.type,
    order_id: data.id,
    sequence: data.version,
    occurred_at: data.updated_at,
    data,
  }
}

/** "2026-11-21 01:02:03.456789+00" -> "2026-11-21T01:02:03.456Z"; PostgreSQL leaves trailing zeros of the fraction out. */
export function toRfc3339(time: string): string {
  const fraction = time.length > 23 ? time.slice(20, -3) : ''
  return `${time.slice(0, 10)}T${time.slice(11, 19)}.${fraction.slice(0, 3).padEnd(3, '0')}Z`
}
