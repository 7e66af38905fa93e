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

/**
 * How many events of a row of the outbox were moved, and the orders that were placed if these are not queued.
 * `continue_from` is the last organisation that was visited if more may follow.
 */
export type Moved = { org_id: string; moved: number; placed: string[]; continue_from: string | null }

/** Which organisations a move visits, and how many rows it reads of each. */
export type Turns = { fromOrg: string; orgs: number; rows: number }

export type Lane = { lane: number; lease: number }

/** Any number that no other user of advisory locks takes. */
const moverLock = 7_106_115_001
const lanes = 64
const laneOf = `hashtext(org_id || order_id) & ${lanes - 1}`

/**
 * Moves about `limit` events, in whole rows, from the outbox to the log and the queue, in one statement: each is in both
 * or in neither. One process at a time moves, so that an organisation's positions follow the order of its events; others
 * move nothing. `queued` are the events that go to the queue; if none do, the ids of the orders that were placed are
 * answered. Each row is left for the fan-out to each enabled webhook. Answers a Moved for each row, oldest first.
 *
 * Organisations take turns: up to `orgs` of them, in the order of their ids from `fromOrg` on, offer their `rows` oldest rows.
 * The oldest row of all leaves, so that none waits for ever. The other rows leave in the order of the events that their
 * organisation has up to them, so a single order does not wait for the backlog of another organisation. The look-up of an
 * organisation passes over the index entries of the rows that have left; it finds the first row, where the rest begins.
 */
export function moveEvents(limit: number, queued: 'all' | 'placed' | 'none', from: Turns): Statement {
  const { fromOrg, orgs, rows } = from
  return {
    name: 'move_events',
    text: `WITH RECURSIVE waiting AS (
        (SELECT org_id, id FROM outbox WHERE org_id >= $3 AND (SELECT pg_try_advisory_xact_lock(${moverLock}))
          ORDER BY org_id, id LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting w, LATERAL (
          SELECT org_id, id FROM outbox o WHERE o.org_id > w.org_id ORDER BY o.org_id, o.id LIMIT 1) following
      ), visited AS MATERIALIZED (
        SELECT org_id, id AS first FROM waiting LIMIT $4
      ), offered AS (
        SELECT o.*, sum(events) OVER (PARTITION BY o.org_id ORDER BY o.id) AS share, o.id = min(o.id) OVER () AS oldest
        FROM visited v, LATERAL (
          SELECT org_id, id, events FROM outbox WHERE org_id = v.org_id AND id >= v.first
          ORDER BY id LIMIT least($5::integer, 1 + 4 * $1 / (SELECT count(*) FROM visited))) o
      ), chosen AS MATERIALIZED (
        SELECT id FROM (
          SELECT id, oldest, sum(events) FILTER (WHERE NOT oldest) OVER (ORDER BY share, id) AS through FROM offered)
        WHERE oldest OR through < $1
      ), taken AS (
        DELETE FROM outbox WHERE id = ANY (ARRAY(SELECT id FROM chosen))
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
        FROM numbered JOIN positions USING (org_id) RETURNING org_id, position, events
      ), queued AS (
        INSERT INTO event_queue (lane, org_id, order_id, sequence)
        SELECT ${laneOf}, org_id, order_id, sequence
        FROM taken, unnest(order_ids) WITH ORDINALITY AS o (order_id, place)
        WHERE $2 = 'all' OR ($2 = 'placed' AND sequence = 1) ORDER BY id, place
      ), to_fan_out AS (
        INSERT INTO webhook_fanouts (org_id, webhook_id, position, events)
        SELECT w.org_id, w.id, l.position, l.events FROM webhooks w JOIN logged l ON l.org_id = w.org_id WHERE w.enabled
      )
      SELECT org_id, events AS moved, pg_notify('events', org_id::text),
        CASE WHEN $2 = 'none' AND sequence = 1 THEN order_ids ELSE '{}' END AS placed,
        CASE WHEN (SELECT count(*) FROM visited) = $4
          THEN (SELECT org_id FROM visited ORDER BY org_id DESC LIMIT 1) END AS continue_from
      FROM taken ORDER BY id`,
    values: [limit, queued, fromOrg, orgs, rows],
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

/**
 * Up to `limit` events of each lane, in order. The organisations of a lane take turns: first the oldest event of each, then
 * the second, and so on.
 */
export function selectQueued(held: Lane[], limit: number): Statement {
  return {
    name: 'select_queued',
    text: `SELECT q.id AS queue_id, q.attempts, coalesce(q.retry_at > clock_timestamp(), false) AS waits, e.type,
        o.id, o.org_id, o.project_id, o.amount, o.currency, e.status, e.description, e.metadata, o.created_at,
        e.occurred_at AS updated_at, e.sequence AS version
      FROM (
        SELECT q.* FROM unnest($1::int[]) AS held (lane),
          LATERAL (
          WITH RECURSIVE waiting AS (
            (SELECT org_id, id FROM event_queue WHERE lane = held.lane ORDER BY org_id, id LIMIT 1)
            UNION ALL
            SELECT following.* FROM waiting w, LATERAL (
              SELECT org_id, id FROM event_queue q WHERE q.lane = held.lane AND q.org_id > w.org_id
              ORDER BY q.org_id, q.id LIMIT 1) following
          )
          SELECT offered.* FROM waiting w, LATERAL (
            SELECT *, row_number() OVER (ORDER BY q.id) AS turn FROM event_queue q
            WHERE q.lane = held.lane AND q.org_id = w.org_id AND q.id >= w.id ORDER BY q.id LIMIT $2) offered
          ORDER BY turn, id LIMIT $2) q
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
