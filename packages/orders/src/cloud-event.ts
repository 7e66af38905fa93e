import { type OrderRow, toOrder, toRfc3339 } from './row.ts'

type Event = { id: string; orgId: string; type: string; time: string }

const envelope = ({ id, orgId, type, time }: Event) => ({
  specversion: '1.0',
  id,
  source: `/orgs/${orgId}`,
  type,
  time: toRfc3339(time),
  datacontenttype: 'application/json',
})

/** An event of an order as CloudEvents 1.0 writes it in JSON; `data` is the order after the change. */
export const orderCloudEvent = (event: Event, row: OrderRow) => ({
  ...envelope(event),
  subject: row.id,
  sequence: row.version,
  data: toOrder(row),
})

/** The message that tries a webhook out. */
export const testCloudEvent = (event: Event, webhookId: string) => ({
  ...envelope(event),
  subject: webhookId,
  data: { message: 'This is a test: no order has changed.' },
})
