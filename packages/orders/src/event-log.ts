import type { Database, Statement } from '@orders/database'
import type { OrderEvent } from '@orders/schema'
import { OrdersError } from './errors.ts'
import { type EventRow, lateralEvent, lateralOrder, toEvent } from './row.ts'

/** An event of an organisation with its position there: 1, 2, 3 and so on. */
export type LoggedEvent = { position: number; event: OrderEvent }

/** Reads the events of an organisation in the order in which they left the outbox, which never changes. */
export function createEventLog(database: Database) {
  /** The events after a position, oldest first. */
  async function readLog(orgId: string, after: number, limit: number): Promise<LoggedEvent[]> {
    const rows = await database.readInTenant<EventRow & { position: number }>(orgId, selectLogged(orgId, after, limit))
    return rows.map(({ position, ...row }) => ({ position, event: toEvent(row) }))
  }

  /** The position of the newest event; 0 if there is none. */
  async function newestPosition(orgId: string): Promise<number> {
    return (await readBounds(orgId)).newest
  }

  /** Throws STREAM_POSITION_GONE if there are events after the position that are no longer, or not yet, in the log. */
  async function assertReadable(orgId: string, after: number): Promise<void> {
    const { oldest, newest } = await readBounds(orgId)
    if (after > newest || (after < newest && (oldest === null || oldest > after + 1))) {
      throw new OrdersError(
        'STREAM_POSITION_GONE',
        `What came after event ${after} cannot be told: read the orders, and listen without Last-Event-ID.`,
      )
    }
  }

  async function readBounds(orgId: string): Promise<{ oldest: number | null; newest: number }> {
    const [row] = await database.readInTenant<{ oldest: number | null; newest: number }>(orgId, selectBounds(orgId))
    return row ?? { oldest: null, newest: 0 }
  }

  return { readLog, newestPosition, assertReadable }
}

/** A row of the log has the events of a row of the outbox, and positions have no gaps. Answers EventRows, each with its position. */
export function selectLogged(orgId: string, after: number, limit: number): Statement {
  return {
    name: 'select_logged',
    text: `SELECT l.position, o.id || '.' || e.sequence AS event_id, e.type, o.id, o.org_id, o.project_id, o.amount,
        o.currency, e.status, e.description, e.metadata, o.created_at, e.occurred_at AS updated_at,
        e.sequence AS version
      FROM (
        SELECT r.org_id, r.position - r.events + place AS position, order_id, r.sequence
        FROM (SELECT * FROM event_log WHERE org_id = $1 AND position > $2 ORDER BY position LIMIT $3) r,
          unnest(coalesce(r.order_ids, ARRAY[r.only_order_id])) WITH ORDINALITY AS o (order_id, place)
        WHERE r.position - r.events < $2 + $3
      ) l, ${lateralOrder('l')}, ${lateralEvent('l')}
      WHERE l.position > $2 AND l.position <= $2 + $3 ORDER BY l.position`,
    values: [orgId, after, limit],
  }
}

function selectBounds(orgId: string): Statement {
  return {
    name: 'select_log_bounds',
    text: `SELECT (SELECT position - events + 1 FROM event_log WHERE org_id = $1 ORDER BY position LIMIT 1) AS oldest,
        coalesce((SELECT position FROM event_positions WHERE org_id = $1), 0) AS newest`,
    values: [orgId],
  }
}
