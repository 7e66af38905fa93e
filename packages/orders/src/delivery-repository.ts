import type { Statement } from '@orders/database'
import { lateralEvent, lateralOrder, type OrderRow } from './row.ts'

/** A delivery that was claimed, with all that its message is made of; the order is null for a test. */
export type ClaimedDelivery = {
  org_id: string
  delivery_id: string
  webhook_id: string
  leased_until: string
  /** Seconds since 1970 by the database clock: the time of the message, which is sent at once. */
  claimed_at: number
  attempts: number
  event_type: string
  sequence: number | null
  time: string
  failing: boolean
  url: string
  signature: 'ed25519' | 'hmac'
  key: Buffer
  previous_key: Buffer | null
  order_id: string | null
} & { [Column in keyof OrderRow as `order_${Column}`]: OrderRow[Column] }

export type ClaimLimits = {
  /** How many to claim, and how many of them for receivers that fail. */
  room: number
  failingRoom: number
  leaseSeconds: number
  /** In flight at a time, over all processes. */
  perWebhook: number
  perOrg: number
}

/**
 * Leases deliveries that are due; run it under a lock, as it counts what is in flight. It asks each webhook that has
 * something pending for the oldest few, so how much waits behind them costs nothing; then every webhook gets its first
 * turn before any gets its second. Those that fail come last, and one at a time. A row that changes between being found
 * and being locked has a place of its own then, and is left for the next claim.
 */
export function claimDeliveries({ room, failingRoom, leaseSeconds, perWebhook, perOrg }: ClaimLimits): Statement {
  return {
    name: 'claim_deliveries',
    text: `WITH RECURSIVE waiting AS (
        (SELECT org_id, webhook_id FROM webhook_deliveries WHERE state = 'pending' ORDER BY org_id, webhook_id LIMIT 1)
        UNION ALL
        SELECT following.* FROM waiting w, LATERAL (
          SELECT d.org_id, d.webhook_id FROM webhook_deliveries d
          WHERE state = 'pending' AND (d.org_id, d.webhook_id) > (w.org_id, w.webhook_id)
          ORDER BY d.org_id, d.webhook_id LIMIT 1) following
      ), busy AS MATERIALIZED (
        SELECT org_id, webhook_id, count(*) AS sends FROM webhook_deliveries
        WHERE leased_until IS NOT NULL AND leased_until > statement_timestamp() GROUP BY org_id, webhook_id
      ), busy_orgs AS (
        SELECT org_id, sum(sends) AS sends FROM busy GROUP BY org_id
      ), receivers AS (
        SELECT org_id, webhook_id, coalesce(sends, 0) AS sends, w.first_failure_at IS NOT NULL AS failing
        FROM waiting JOIN webhooks w USING (org_id) LEFT JOIN busy USING (org_id, webhook_id)
        WHERE w.id = webhook_id AND w.enabled
      ), due AS (
        SELECT r.org_id, r.failing, d.id, d.due_at,
          r.sends + row_number() OVER (PARTITION BY r.org_id, r.webhook_id ORDER BY d.due_at) AS turn
        FROM receivers r, LATERAL (
          SELECT id, due_at FROM webhook_deliveries d
          WHERE d.org_id = r.org_id AND d.webhook_id = r.webhook_id AND d.state = 'pending'
            AND d.due_at <= statement_timestamp()
            AND (d.leased_until IS NULL OR d.leased_until <= statement_timestamp())
          ORDER BY d.due_at LIMIT greatest(0, CASE WHEN r.failing THEN 1 ELSE $4::int END - r.sends)) d
      ), ranked AS (
        SELECT due.*, row_number() OVER (PARTITION BY failing ORDER BY turn, due_at) AS rank, coalesce(sends, 0)
          + row_number() OVER (PARTITION BY org_id ORDER BY failing, turn, due_at) AS org_turn
        FROM due LEFT JOIN busy_orgs USING (org_id)
      ), chosen AS (
        SELECT org_id, id FROM ranked WHERE org_turn <= $5 AND (NOT failing OR rank <= $2)
        ORDER BY failing, turn, due_at LIMIT $1
      ), held AS (
        SELECT at FROM chosen c, LATERAL (
          SELECT ctid AS at FROM webhook_deliveries WHERE org_id = c.org_id AND id = c.id FOR UPDATE SKIP LOCKED) d
      ), claimed AS (
        UPDATE webhook_deliveries SET leased_until = clock_timestamp() + make_interval(secs => $3)
        WHERE ctid = ANY (ARRAY(SELECT at FROM held)) RETURNING *
      )
      SELECT c.org_id, c.id AS delivery_id, c.webhook_id, c.leased_until,
        floor(extract(epoch FROM clock_timestamp()))::float8 AS claimed_at, c.attempts, c.type AS event_type, c.sequence,
        coalesce(e.occurred_at, c.created_at) AS time, w.first_failure_at IS NOT NULL AS failing, w.url, w.signature,
        w.key, CASE WHEN w.previous_key_ends_at > now() THEN w.previous_key END AS previous_key, c.order_id,
        c.org_id AS order_org_id, o.project_id AS order_project_id, o.amount AS order_amount,
        o.currency AS order_currency, e.status AS order_status, e.description AS order_description,
        e.metadata AS order_metadata, o.created_at AS order_created_at, e.occurred_at AS order_updated_at,
        e.sequence AS order_version
      FROM claimed c
      CROSS JOIN LATERAL (SELECT * FROM webhooks WHERE org_id = c.org_id AND id = c.webhook_id LIMIT 1) w
      LEFT JOIN ${lateralOrder('c')} ON true LEFT JOIN ${lateralEvent('c')} ON true`,
    values: [room, failingRoom, leaseSeconds, perWebhook, perOrg],
  }
}

export type DeliveryOutcome = {
  state: 'pending' | 'delivered' | 'failed'
  /** Until it is tried again, if it is pending. */
  pauseSeconds: number
  /** The receiver wants no more. */
  gone: boolean
  status: number | null
  reply: string
  error: string | null
  duration_ms: number
}

/**
 * Writes down what came of an attempt whose lease is still ours, and turns a webhook off that is gone or has failed for so
 * many days. Answers { disabled_reason } if it did. A webhook is written to only when it begins or ceases to fail.
 */
export function finishDelivery(
  { org_id, delivery_id, leased_until }: ClaimedDelivery,
  { state, pauseSeconds, gone, status, reply, error, duration_ms }: DeliveryOutcome,
  failingDays: number,
): Statement {
  return {
    name: 'finish_delivery',
    text: `WITH done AS (
        UPDATE webhook_deliveries SET state = $4, attempts = attempts + 1, leased_until = NULL,
          due_at = clock_timestamp() + make_interval(secs => $5), last_status = $6, last_reply = left($7, 4096),
          last_error = left($8, 500), last_duration_ms = $9,
          delivered_at = CASE WHEN $4 = 'delivered' THEN clock_timestamp() END
        WHERE org_id = $1 AND id = $2 AND leased_until = $3 RETURNING org_id, webhook_id
      ), judged AS (
        SELECT w.org_id, w.id, CASE WHEN $4 = 'delivered' THEN NULL WHEN $10 THEN 'gone'
            WHEN w.first_failure_at <= now() - make_interval(days => $11) THEN 'failing' END AS reason
        FROM done JOIN webhooks w ON w.org_id = done.org_id AND w.id = done.webhook_id
        WHERE CASE WHEN $4 = 'delivered' THEN w.first_failure_at IS NOT NULL ELSE w.enabled END
      )
      UPDATE webhooks w SET
        first_failure_at = CASE WHEN $4 = 'delivered' THEN NULL ELSE coalesce(w.first_failure_at, now()) END,
        enabled = w.enabled AND reason IS NULL,
        disabled_reason = coalesce(w.disabled_reason, reason),
        disabled_at = CASE WHEN reason IS NULL THEN w.disabled_at ELSE now() END,
        version = w.version + (reason IS NOT NULL)::int,
        updated_at = CASE WHEN reason IS NULL THEN w.updated_at ELSE now() END
      FROM judged j WHERE w.org_id = j.org_id AND w.id = j.id
        AND ($4 = 'delivered' OR w.first_failure_at IS NULL OR reason IS NOT NULL)
      RETURNING reason AS disabled_reason`,
    values: [
      org_id,
      delivery_id,
      leased_until,
      state,
      pauseSeconds,
      status,
      reply,
      error,
      duration_ms,
      gone,
      failingDays,
    ],
  }
}

/**
 * For how long the oldest delivery, or event without one yet, has been due whose receiver does not fail (seconds), and how
 * many webhooks fail.
 */
export const selectDeliveryLag: Statement = {
  name: 'select_delivery_lag',
  text: `SELECT
      (SELECT count(*) FROM webhooks WHERE enabled AND first_failure_at IS NOT NULL)::int AS failing,
      coalesce(greatest(0, extract(epoch FROM clock_timestamp() - min(d.due_at))), 0)::float8 AS oldest_seconds
    FROM webhooks w, LATERAL (SELECT least(
        (SELECT due_at FROM webhook_deliveries d
          WHERE d.org_id = w.org_id AND d.webhook_id = w.id AND d.state = 'pending' ORDER BY due_at LIMIT 1),
        (SELECT created_at FROM webhook_fanouts f
          WHERE f.org_id = w.org_id AND f.webhook_id = w.id ORDER BY position LIMIT 1)) AS due_at) d
    WHERE w.enabled AND w.first_failure_at IS NULL`,
  values: [],
}
