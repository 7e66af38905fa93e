import type { Statement } from '@orders/database'
import type { OrderEventType } from '@orders/schema'
import type { Position } from './cursor.ts'
import { lateralEvent, lateralOrder, type OrderRow } from './row.ts'

/** An event in the queue, and the order as it was after it. */
export type QueuedEvent = OrderRow & {
  queue_id: number
  type: OrderEventType
  attempts: number
  /** True while a failed attempt is not to be repeated yet. */
  waits: boolean
}

/** How many events of a row of the outbox were moved, and the orders that were placed if these are not queued. */
export type Moved = { org_id: string; moved: number; placed: string[] }

export type Lane = { lane: number; lease: number }

/** Any number that no other user of advisory locks takes. */
const moverLock = 7_106_115_001
const lanes = 64
const laneOf = `hashtext(org_id || order_id) & ${lanes - 1}`

/**
 * Moves the oldest `limit` events, and the rest of the row that the last of them is in, from the outbox to the log and
 * the queue, in one statement: each is in both or in neither. One process at a time moves, so that an organisation's
 * positions follow the order of its events; others move nothing. `queued` are the events that go to the queue; if none
 * do, the ids of the orders that were placed are answered. Each webhook that wants an event gets a delivery of it; types
 * are looked up only for organisations that have webhooks. Answers a Moved for each row, oldest first.
 */
export function moveEvents(limit: number, queued: 'all' | 'placed' | 'none'): Statement {
  return {
    name: 'move_events',
    text: `WITH taken AS (
        DELETE FROM outbox WHERE id IN (
          SELECT id FROM (SELECT id, events, sum(events) OVER (ORDER BY id) AS through FROM (
            SELECT id, events FROM outbox WHERE (SELECT pg_try_advisory_xact_lock(${moverLock})) ORDER BY id LIMIT $1))
          WHERE through - events < $1)
        RETURNING id, org_id, sequence, coalesce(order_ids, ARRAY[order_id]) AS order_ids, events
      ), numbered AS (
        SELECT *, sum(events) OVER (PARTITION BY org_id ORDER BY id) AS through,
          sum(events) OVER (PARTITION BY org_id) AS org_events FROM taken
      ), positions AS (
        INSERT INTO event_positions AS p (org_id, position) SELECT org_id, sum(events) FROM taken GROUP BY org_id
        ON CONFLICT (org_id) DO UPDATE SET position = p.position + excluded.position
        RETURNING org_id, position
      ), logged AS (
        INSERT INTO event_log (org_id, position, sequence, order_ids, events)
        SELECT org_id, position - org_events + through, sequence, order_ids, events
        FROM numbered JOIN positions USING (org_id)
      ), queued AS (
        INSERT INTO event_queue (lane, org_id, order_id, sequence)
        SELECT ${laneOf}, org_id, order_id, sequence
        FROM taken, unnest(order_ids) WITH ORDINALITY AS o (order_id, place)
        WHERE $2 = 'all' OR ($2 = 'placed' AND sequence = 1) ORDER BY id, place
      ), wanted AS MATERIALIZED (
        SELECT t.org_id, o.order_id, t.sequence, w.id AS webhook_id, w.event_types
        FROM webhooks w JOIN taken t ON t.org_id = w.org_id, unnest(t.order_ids) AS o (order_id) WHERE w.enabled
      ), fanned_out AS (
        INSERT INTO webhook_deliveries (org_id, webhook_id, order_id, sequence, type)
        SELECT w.org_id, w.webhook_id, w.order_id, w.sequence, e.type
        FROM wanted w, ${lateralOrder('w')}, ${lateralEvent('w')}
        WHERE w.event_types IS NULL OR e.type = ANY (w.event_types)
      )
      SELECT org_id, events AS moved, pg_notify('events', org_id::text),
        CASE WHEN $2 = 'none' AND sequence = 1 THEN order_ids ELSE '{}' END AS placed
      FROM taken ORDER BY id`,
    values: [limit, queued],
  }
}

/** Leases up to `limit` lanes that hold events and that nobody holds, those first that have waited longest. */
export function leaseLanes(limit: number, leaseSeconds: number): Statement {
  return {
    name: 'lease_lanes',
    text: `WITH free AS (
        SELECT lane FROM event_lanes l
        WHERE leased_until <= clock_timestamp() AND EXISTS (SELECT FROM event_queue q WHERE q.lane = l.lane)
        ORDER BY served_at LIMIT $1 FOR UPDATE SKIP LOCKED
      )
      UPDATE event_lanes l SET lease = lease + 1, served_at = clock_timestamp(),
        leased_until = clock_timestamp() + make_interval(secs => $2)
      FROM free WHERE l.lane = free.lane RETURNING l.lane, l.lease`,
    values: [limit, leaseSeconds],
  }
}

/** The oldest events of the lanes, in order. */
export function selectQueued(held: Lane[], limit: number): Statement {
  return {
    name: 'select_queued',
    text: `SELECT q.id AS queue_id, q.attempts, coalesce(q.retry_at > clock_timestamp(), false) AS waits, e.type,
        o.id, o.org_id, o.project_id, o.amount, o.currency, e.status, e.description, e.metadata, o.created_at,
        e.occurred_at AS updated_at, e.sequence AS version
      FROM (
        SELECT q.* FROM unnest($1::int[]) AS held (lane),
          LATERAL (SELECT * FROM event_queue q WHERE q.lane = held.lane ORDER BY q.id LIMIT $2) q
      ) q, ${lateralOrder('q')}, ${lateralEvent('q')}
      ORDER BY q.id`,
    values: [held.map(({ lane }) => lane), limit],
  }
}

/** Takes what was handed on out of the queue, and gives the lanes back that are still ours. */
export function finishBatch(held: Lane[], done: number[]): Statement {
  return {
    name: 'finish_batch',
    text: `WITH gone AS (DELETE FROM event_queue WHERE id = ANY ($3))
      UPDATE event_lanes l SET leased_until = '-infinity'
      FROM unnest($1::int[], $2::bigint[]) AS held (lane, lease) WHERE l.lane = held.lane AND l.lease = held.lease`,
    values: [held.map(({ lane }) => lane), held.map(({ lease }) => lease), done],
  }
}

/** Notes a failed attempt: the event waits, longer each time, and its order's later events behind it. */
export function postponeEvent(queueId: number, reason: string, afterMs: number): Statement {
  return {
    name: 'postpone_event',
    text: `UPDATE event_queue SET attempts = attempts + 1, reason = left($2, 500),
        retry_at = clock_timestamp() + make_interval(secs => $3 / 1000.0)
      WHERE id = $1`,
    values: [queueId, reason, afterMs],
  }
}

/** Gives an event up: it leaves the queue, and is kept with the reason. */
export function buryEvent(queueId: number, reason: string): Statement {
  return {
    name: 'bury_event',
    text: `WITH gone AS (DELETE FROM event_queue WHERE id = $1 RETURNING org_id, order_id, sequence, attempts)
      INSERT INTO dead_letters (org_id, order_id, sequence, attempts, reason)
      SELECT org_id, order_id, sequence, attempts + 1, left($2, 500) FROM gone`,
    values: [queueId, reason],
  }
}

export const selectDeadLetters = (orgId: string, after: Position | undefined, rows: number): Statement => ({
  name: 'select_dead_letters',
  text: `SELECT id, order_id, sequence, attempts, reason, created_at FROM dead_letters
    WHERE org_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid))
    ORDER BY created_at DESC, id DESC LIMIT $4`,
  values: [orgId, after?.created_at ?? null, after?.id ?? null, rows],
})

/** Puts an event that was given up back into the queue, behind what waits there, and answers its id. */
export const replayDeadLetter = (orgId: string, id: string): Statement => ({
  name: 'replay_dead_letter',
  text: `WITH gone AS (
      DELETE FROM dead_letters WHERE org_id = $1 AND id = $2 RETURNING id, org_id, order_id, sequence
    ), queued AS (
      INSERT INTO event_queue (lane, org_id, order_id, sequence) SELECT ${laneOf}, org_id, order_id, sequence FROM gone
    )
    SELECT id FROM gone`,
  values: [orgId, id],
})

/** How much waits where, and for how long the oldest has (seconds). */
export const selectLag: Statement = {
  name: 'select_lag',
  text: `SELECT
      (SELECT coalesce(sum(events), 0) FROM (SELECT events FROM outbox LIMIT 1000000))::int AS outbox,
      (SELECT count(*) FROM (SELECT FROM event_queue LIMIT 1000000))::int AS queue,
      (SELECT count(*) FROM (SELECT FROM dead_letters LIMIT 1000000))::int AS dead_letters,
      greatest(0, extract(epoch FROM clock_timestamp() - least(
        (SELECT created_at FROM outbox ORDER BY id LIMIT 1),
        (SELECT min(queued_at) FROM event_lanes l,
          LATERAL (SELECT queued_at FROM event_queue q WHERE q.lane = l.lane ORDER BY id LIMIT 1))
      )))::float8 AS oldest_seconds`,
  values: [],
}
