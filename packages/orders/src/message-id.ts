import { createHash } from 'node:crypto'

type Delivery = { id: string; org_id: string; order_id: string | null; sequence: number | null }

/**
 * The `webhook-id` of a delivery: unique over all organisations, the same at every attempt and for every webhook of the
 * event, and without a full stop (Standard Webhooks). Clients choose the ids of orders, so it is a digest of them.
 */
export function messageIdOf({ id, org_id, order_id, sequence }: Delivery): string {
  if (order_id === null) return `test_${id}`
  return `evt_${createHash('sha256').update(`${org_id}/${order_id}.${sequence}`).digest('base64url').slice(0, 22)}`
}

/** The `id` of the CloudEvent in its body, which is unique within its `source`, the organisation. */
export const eventIdOf = ({ id, order_id, sequence }: Omit<Delivery, 'org_id'>): string =>
  order_id === null ? `test.${id}` : `${order_id}.${sequence}`
