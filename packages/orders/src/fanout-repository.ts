import type { Statement } from '@orders/database'
import { lateralEvent, lateralOrder } from './row.ts'

/** How many rows of webhook_fanouts were used, and how many deliveries were made of them. */
export type FannedOut = { rows: number; deliveries: number }

export type FanOutLimits = {
  /** About so many events at a time, in whole rows. */
  events: number
  /** A webhook with so many due deliveries gets no more for now. */
  due: number
}

/**
 * Makes deliveries of the events that wait for it; run it under a lock, because it counts the deliveries that are due. A
 * backlog stays one row for hundreds of events until its receiver needs it. Webhooks take turns: the oldest row is used,
 * and then rows in the order of the events that wait for their webhook up to them. Returns a FannedOut.
 */
export function fanOut({ events, due }: FanOutLimits): Statement {
  return {
    name: 'fan_out',
    text: `WITH RECURSIVE waiting AS (
        (SELECT org_id, webhook_id FROM webhook_fanouts ORDER BY org_id, webhook_id LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting w, LATERAL (
          SELECT f.org_id, f.webhook_id FROM webhook_fanouts f
          WHERE (f.org_id, f.webhook_id) > (w.org_id, w.webhook_id)
          ORDER BY f.org_id, f.webhook_id LIMIT 1) following
      ), ready AS MATERIALIZED (
        SELECT org_id, webhook_id FROM waiting w WHERE NOT EXISTS (
          SELECT FROM webhook_deliveries d
          WHERE d.org_id = w.org_id AND d.webhook_id = w.webhook_id AND d.state = 'pending'
            AND d.due_at <= statement_timestamp()
          ORDER BY d.due_at OFFSET $2 - 1 LIMIT 1)
      ), offered AS (
        SELECT f.*, sum(events) OVER (PARTITION BY f.org_id, f.webhook_id ORDER BY f.position) AS share,
          row_number() OVER (ORDER BY created_at, f.org_id, f.webhook_id, f.position) = 1 AS oldest
        FROM ready r, LATERAL (
          SELECT * FROM webhook_fanouts f WHERE f.org_id = r.org_id AND f.webhook_id = r.webhook_id
          ORDER BY f.org_id, f.webhook_id, f.position LIMIT 1 + 4 * $1 / (SELECT count(*) FROM ready)) f
      ), chosen AS MATERIALIZED (
        SELECT org_id, webhook_id, position FROM (
          SELECT *, sum(events) FILTER (WHERE NOT oldest) OVER (ORDER BY share, created_at, org_id, webhook_id) AS through
          FROM offered)
        WHERE oldest OR through < $1
      ), held AS (
        SELECT at FROM chosen c, LATERAL (
          SELECT ctid AS at FROM webhook_fanouts
          WHERE org_id = c.org_id AND webhook_id = c.webhook_id AND position = c.position) f
      ), taken AS (
        DELETE FROM webhook_fanouts WHERE ctid = ANY (ARRAY(SELECT at FROM held)) RETURNING org_id, webhook_id, position
      ), wanted AS MATERIALIZED (
        SELECT l.org_id, o.order_id, l.sequence, w.id AS webhook_id, w.event_types
        FROM taken t,
          LATERAL (SELECT * FROM event_log WHERE org_id = t.org_id AND position = t.position LIMIT 1) l,
          LATERAL (SELECT id, event_types FROM webhooks WHERE org_id = t.org_id AND id = t.webhook_id LIMIT 1) w,
          unnest(coalesce(l.order_ids, ARRAY[l.only_order_id])) AS o (order_id)
      ), made AS (
        INSERT INTO webhook_deliveries (org_id, webhook_id, order_id, sequence, type)
        SELECT w.org_id, w.webhook_id, w.order_id, w.sequence, e.type
        FROM wanted w, ${lateralOrder('w')}, ${lateralEvent('w')}
        WHERE w.event_types IS NULL OR e.type = ANY (w.event_types) RETURNING 1
      )
      SELECT (SELECT count(*) FROM taken)::int AS rows, (SELECT count(*) FROM made)::int AS deliveries`,
    values: [events, due],
  }
}
