import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { type OrderEventType, orderEventTypes } from './event.ts'

export const webhookSignatures = ['ed25519', 'hmac'] as const
export type WebhookSignature = (typeof webhookSignatures)[number]

export const disabledReasons = ['paused', 'gone', 'failing'] as const
export const deliveryStates = ['pending', 'delivered', 'failed'] as const

/** What POST /webhooks/{id}/test sends; orders have no event of this type. */
export const webhookTestType = 'orders.webhook.test.v1'

const Nullable = <T extends TSchema>(schema: T) =>
  Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, 'null'] })
const timestamp = { description: 'RFC 3339, UTC, milliseconds, by the database clock.' }
const Time = (description: string) => Nullable(Type.String({ description }))
const OneOf = <T extends string>(values: readonly T[], options = {}) =>
  Type.Unsafe<T>({ type: 'string', enum: [...values], ...options })

const url = Type.String({
  minLength: 1,
  maxLength: 2000,
  description: 'https, on port 443, without a user name, a password or a fragment.',
})
const description = Nullable(Type.String({ maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$' }))
const eventTypes = Type.Unsafe<OrderEventType[] | null>({
  type: ['array', 'null'],
  items: { type: 'string', enum: [...orderEventTypes] },
  minItems: 1,
  maxItems: orderEventTypes.length,
  uniqueItems: true,
  description: 'What it is sent; null is everything, also types that come later.',
})

export const NewWebhook = Type.Object(
  {
    url,
    description: Type.Optional(description),
    event_types: Type.Optional(eventTypes),
    signature: Type.Optional(
      OneOf(webhookSignatures, {
        description: 'How messages are signed: ed25519 (v1a, the default), or hmac (v1) with a shared secret.',
      }),
    ),
  },
  { $id: 'NewWebhook', additionalProperties: false },
)
export type NewWebhook = Static<typeof NewWebhook>

export const WebhookPatch = Type.Object(
  {
    url: Type.Optional(url),
    description: Type.Optional(description),
    event_types: Type.Optional(eventTypes),
    enabled: Type.Optional(Type.Boolean({ description: 'false pauses it: what is pending then waits.' })),
  },
  { $id: 'WebhookPatch', additionalProperties: false, minProperties: 1 },
)
export type WebhookPatch = Static<typeof WebhookPatch>

const webhook = {
  id: Type.String(),
  org_id: Type.String(),
  url: Type.String(),
  description: Nullable(Type.String()),
  event_types: Type.Unsafe<OrderEventType[] | null>({ type: ['array', 'null'], items: { type: 'string' } }),
  signature: OneOf(webhookSignatures),
  public_key: Nullable(Type.String({ description: 'whpk_ and base64, to verify ed25519 signatures with.' })),
  previous_public_key: Nullable(
    Type.String({ description: 'The key before the last rotation, while it still signs.' }),
  ),
  previous_key_ends_at: Time('Until when messages are signed with the key before the last rotation as well.'),
  enabled: Type.Boolean(),
  disabled_reason: Type.Unsafe<(typeof disabledReasons)[number] | null>({
    type: ['string', 'null'],
    enum: [...disabledReasons, null],
    description: 'paused: by a person; gone: it answered 410; failing: it failed for 5 days.',
  }),
  disabled_at: Time(timestamp.description),
  first_failure_at: Time('Since when nothing has been delivered; null while it works.'),
  version: Type.Integer({ minimum: 1, description: 'Counts the changes; the ETag is made of it.' }),
  created_at: Type.String(timestamp),
  updated_at: Type.String(timestamp),
}

export const Webhook = Type.Object(webhook, { $id: 'Webhook' })
export type Webhook = Static<typeof Webhook>

export const WebhookWithSecret = Type.Object(
  {
    ...webhook,
    secret: Nullable(Type.String({ description: 'whsec_ and base64; it is shown this once. null for ed25519.' })),
  },
  { $id: 'WebhookWithSecret' },
)
export type WebhookWithSecret = Static<typeof WebhookWithSecret>

export const Delivery = Type.Object(
  {
    id: Type.String(),
    webhook_id: Type.String(),
    event_id: Type.String({
      description: 'The webhook-id header: unique over all organisations, and the same at every attempt.',
    }),
    order_id: Nullable(Type.String({ description: 'null for a test.' })),
    sequence: Nullable(Type.Integer()),
    type: Type.String(),
    state: OneOf(deliveryStates, { description: 'failed: it is not tried any more.' }),
    attempts: Type.Integer({ minimum: 0, description: 'Since it was made, or was last sent again by hand.' }),
    due_at: Time('When it is tried next; null if it is not.'),
    last_status: Nullable(Type.Integer({ description: 'HTTP status of the last answer.' })),
    last_reply: Nullable(Type.String({ description: 'Start of the last answer, at most 4 kB.' })),
    last_error: Nullable(Type.String({ description: 'Why there was no answer.' })),
    last_duration_ms: Nullable(Type.Integer()),
    created_at: Type.String(timestamp),
    delivered_at: Time(timestamp.description),
  },
  { $id: 'Delivery' },
)
export type Delivery = Static<typeof Delivery>

export const DeadLetter = Type.Object(
  {
    id: Type.String(),
    order_id: Type.String(),
    sequence: Type.Integer(),
    attempts: Type.Integer(),
    reason: Type.String(),
    created_at: Type.String(timestamp),
  },
  { $id: 'DeadLetter', description: 'An event of an order that could not be handed on.' },
)
export type DeadLetter = Static<typeof DeadLetter>

const PageOf = <T extends TSchema>(item: T, $id: string) =>
  Type.Object({ data: Type.Array(item), next_cursor: Nullable(Type.String()) }, { $id })

export const WebhookPage = PageOf(Type.Ref(Webhook), 'WebhookPage')
export type WebhookPage = Static<typeof WebhookPage>
export const DeliveryPage = PageOf(Type.Ref(Delivery), 'DeliveryPage')
export type DeliveryPage = Static<typeof DeliveryPage>
export const DeadLetterPage = PageOf(Type.Ref(DeadLetter), 'DeadLetterPage')
export type DeadLetterPage = Static<typeof DeadLetterPage>
