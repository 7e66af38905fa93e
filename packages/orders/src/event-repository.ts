import type { Statement, Tables } from '@orders/database'
import type { OrderEventType } from '@orders/schema'
import { sql, type Transaction } from 'kysely'
import type { OrderRow } from './row.ts'

/** Writes the event of a change that was just made, and its outbox row; its sequence is the order's new version. */
export async function recordEvent(trx: Transaction<Tables>, type: OrderEventType, row: OrderRow): Promise<void> {
  await sql`
    WITH changed AS (
      SELECT org_id, id, number, version, status, description, metadata FROM orders
      WHERE org_id = ${row.org_id} AND id = ${row.id}
    ), event AS (
      INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
      SELECT org_id, number, version, ${type}, status, description, metadata FROM changed
    )
    INSERT INTO outbox (org_id, sequence, order_ids) SELECT org_id, version, ARRAY[id] FROM changed`.execute(trx)
}

/** Events after `after`, in order. */
export function selectEvents(orgId: string, orderId: string, after: number, limit: number): Statement {
  return {
    name: 'select_events',
    text: `SELECT o.id || '.' || e.sequence AS event_id, e.type, o.id, o.org_id, o.project_id, o.amount, o.currency,
        e.status, e.description, e.metadata, o.created_at, e.occurred_at AS updated_at, e.sequence AS version
      FROM orders o JOIN order_events e ON e.org_id = o.org_id AND e.order_number = o.number
      WHERE o.org_id = $1 AND o.id = $2 AND e.sequence > $3 ORDER BY e.sequence LIMIT $4`,
    values: [orgId, orderId, after, limit],
  }
}
