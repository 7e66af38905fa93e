import type { Statement, Tables } from '@orders/database'
import type { NewWebhook, WebhookPatch, WebhookSignature } from '@orders/schema'
import { sql, type Transaction } from 'kysely'
import type { Position } from './cursor.ts'

type Trx = Transaction<Tables>

/** A webhook with its keys: never hand one on as it is. */
export type WebhookRow = {
  id: string
  org_id: string
  url: string
  description: string | null
  event_types: string[] | null
  signature: WebhookSignature
  key: Buffer
  previous_key: Buffer | null
  previous_key_ends_at: string | null
  enabled: boolean
  disabled_reason: string | null
  disabled_at: string | null
  first_failure_at: string | null
  version: number
  created_at: string
  updated_at: string
}

// A key that has ended is as if it were not there.
const columns = `id, org_id, url, description, event_types, signature, key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key END AS previous_key,
  CASE WHEN previous_key_ends_at > now() THEN previous_key_ends_at END AS previous_key_ends_at,
  enabled, disabled_reason, disabled_at, first_failure_at, version, created_at, updated_at`

const newestFirst = (position: number) =>
  `($${position}::timestamptz IS NULL OR (created_at, id) < ($${position}, $${position + 1}::uuid))
    ORDER BY created_at DESC, id DESC LIMIT $${position + 2}`
const after = (position: Position | undefined) => [position?.created_at ?? null, position?.id ?? null]

export async function insertWebhook(
  trx: Trx,
  orgId: string,
  { url, description = null, event_types = null, signature = 'ed25519' }: NewWebhook,
  key: Buffer,
): Promise<WebhookRow> {
  const { rows } = await sql<WebhookRow>`
    INSERT INTO webhooks (org_id, url, description, event_types, signature, key)
    VALUES (${orgId}, ${url}, ${description}, ${event_types}::text[], ${signature}, ${key})
    RETURNING ${sql.raw(columns)}`.execute(trx)
  return rows[0] as WebhookRow
}

export const selectWebhook = (orgId: string, id: string): Statement => ({
  name: 'select_webhook',
  text: `SELECT ${columns} FROM webhooks WHERE org_id = $1 AND id = $2`,
  values: [orgId, id],
})

export const selectWebhooks = (orgId: string, position: Position | undefined, rows: number): Statement => ({
  name: 'select_webhooks',
  text: `SELECT ${columns} FROM webhooks WHERE org_id = $1 AND ${newestFirst(2)}`,
  values: [orgId, ...after(position), rows],
})

export async function lockWebhook(trx: Trx, orgId: string, id: string): Promise<WebhookRow | undefined> {
  const { rows } = await sql<WebhookRow>`
    SELECT ${sql.raw(columns)} FROM webhooks WHERE org_id = ${orgId} AND id = ${id} FOR NO KEY UPDATE`.execute(trx)
  return rows[0]
}

/** Writes the change; one that is enabled starts with a clean slate. Only the holder of the row's lock may do so. */
export async function updateWebhook(trx: Trx, orgId: string, id: string, patch: WebhookPatch): Promise<WebhookRow> {
  const { url, description, event_types, enabled } = patch
  const { rows } = await sql<WebhookRow>`
    UPDATE webhooks SET version = version + 1, updated_at = now(),
      url = coalesce(${url ?? null}, url),
      description = CASE WHEN ${description === undefined} THEN description ELSE ${description ?? null} END,
      event_types = CASE WHEN ${event_types === undefined} THEN event_types ELSE ${event_types ?? null}::text[] END,
      enabled = coalesce(${enabled ?? null}, enabled),
      disabled_reason = CASE ${enabled ?? null}::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_reason, 'paused')
        ELSE disabled_reason END,
      disabled_at = CASE ${enabled ?? null}::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled_at, now())
        ELSE disabled_at END,
      first_failure_at = CASE WHEN ${enabled ?? false}::boolean THEN NULL ELSE first_failure_at END
    WHERE org_id = ${orgId} AND id = ${id} RETURNING ${sql.raw(columns)}`.execute(trx)
  return rows[0] as WebhookRow
}

/** Puts a new key into the place of the present one, which goes on signing for so many hours. */
export async function replaceKey(
  trx: Trx,
  orgId: string,
  id: string,
  key: Buffer,
  overlapHours: number,
): Promise<WebhookRow | undefined> {
  const { rows } = await sql<WebhookRow>`
    UPDATE webhooks SET previous_key = key, previous_key_ends_at = now() + make_interval(hours => ${overlapHours}),
      key = ${key}, version = version + 1, updated_at = now()
    WHERE org_id = ${orgId} AND id = ${id} RETURNING ${sql.raw(columns)}`.execute(trx)
  return rows[0]
}

/** Deletes a webhook and what it was sent, up to what a statement can do; the rest can be neither seen nor sent. */
export const deleteWebhook = (orgId: string, id: string): Statement => ({
  name: 'delete_webhook',
  text: `WITH gone AS (DELETE FROM webhooks WHERE org_id = $1 AND id = $2 RETURNING id), deliveries AS (
      DELETE FROM webhook_deliveries WHERE org_id = $1 AND id IN (
        SELECT id FROM webhook_deliveries WHERE org_id = $1 AND webhook_id = (SELECT id FROM gone)
        ORDER BY created_at DESC, id DESC LIMIT 20000 FOR UPDATE SKIP LOCKED))
    SELECT id FROM gone`,
  values: [orgId, id],
})

export type DeliveryRow = {
  id: string
  webhook_id: string
  order_id: string | null
  sequence: number | null
  type: string
  state: 'pending' | 'delivered' | 'failed'
  attempts: number
  due_at: string | null
  last_status: number | null
  last_reply: string | null
  last_error: string | null
  last_duration_ms: number | null
  created_at: string
  delivered_at: string | null
}

const deliveryColumns = `id, webhook_id, order_id, sequence, type, state, attempts,
  CASE WHEN state = 'pending' THEN due_at END AS due_at,
  last_status, last_reply, last_error, last_duration_ms, created_at, delivered_at`

/** What a webhook was or is to be sent, newest first. */
export const selectDeliveries = (
  orgId: string,
  webhookId: string,
  position: Position | undefined,
  rows: number,
): Statement => ({
  name: 'select_deliveries',
  text: `SELECT ${deliveryColumns} FROM webhook_deliveries WHERE org_id = $1 AND webhook_id = $2 AND ${newestFirst(3)}`,
  values: [orgId, webhookId, ...after(position), rows],
})

export const insertTest = (orgId: string, webhookId: string, type: string): Statement => ({
  name: 'insert_test',
  text: `INSERT INTO webhook_deliveries (org_id, webhook_id, type)
    SELECT org_id, id, $3 FROM webhooks WHERE org_id = $1 AND id = $2 AND enabled RETURNING ${deliveryColumns}`,
  values: [orgId, webhookId, type],
})

/** Makes a delivery due now, with the whole schedule before it; one that is pending keeps its attempts. */
export const resendDelivery = (orgId: string, id: string): Statement => ({
  name: 'resend_delivery',
  text: `UPDATE webhook_deliveries SET state = 'pending', due_at = now(), delivered_at = NULL,
      attempts = CASE state WHEN 'pending' THEN attempts ELSE 0 END
    WHERE org_id = $1 AND id = $2
      AND webhook_id IN (SELECT id FROM webhooks WHERE org_id = $1 AND enabled) RETURNING ${deliveryColumns}`,
  values: [orgId, id],
})

/** Whether the delivery is there, and its webhook still is. */
export const selectDelivery = (orgId: string, id: string): Statement => ({
  name: 'select_delivery',
  text: `SELECT ${deliveryColumns} FROM webhook_deliveries d WHERE org_id = $1 AND id = $2
    AND EXISTS (SELECT FROM webhooks w WHERE w.org_id = $1 AND w.id = d.webhook_id)`,
  values: [orgId, id],
})
