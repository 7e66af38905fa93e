import type { Statement, Tables } from '@orders/database'
import type { OrderEventType } from '@orders/schema'
import { sql, type Transaction } from 'kysely'
import { type OrderRow, toOrder } from './row.ts'

/** Writes the event of a change and its outbox row; its sequence is the order's new version. */
export async function recordEvent(trx: Transaction<Tables>, type: OrderEventType, row: OrderRow): Promise<void> {
  const { org_id, id: order_id, version: sequence } = row
  await sql`
    WITH event AS (
      INSERT INTO order_events (org_id, order_id, sequence, type, data)
      VALUES (${org_id}, ${order_id}, ${sequence}, ${type}, ${JSON.stringify(toOrder(row))}))
    INSERT INTO outbox (org_id, order_id, sequence) VALUES (${org_id}, ${order_id}, ${sequence})`.execute(trx)
}

/** Events after `after`, in order. */
export function selectEvents(orgId: string, orderId: string, after: number, limit: number): Statement {
  return {
    name: 'select_events',
    text: `SELECT order_id || '.' || sequence AS id, type, order_id, sequence, occurred_at, data FROM order_events
      WHERE org_id = $1 AND order_id = $2 AND sequence > $3 ORDER BY sequence LIMIT $4`,
    values: [orgId, orderId, after, limit],
  }
}
