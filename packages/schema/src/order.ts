import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { currencyCodes } from './currency.ts'
import { type ErrorCode, errorCodes } from './errors.ts'
import { OrderEvent } from './event.ts'
import { Instant, Uuid } from './formats.ts'
import { QuotaUse } from './usage.ts'

export const orderStatuses = ['placed', 'confirmed', 'completed', 'cancelled'] as const
export type OrderStatus = (typeof orderStatuses)[number]

// The words are addresses below /orders: an order of that name could not be read.
const orderIdPattern = '^(?!(?:export|import|stats|stream)$)[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'
const Nullable = <T extends TSchema>(schema: T) =>
  Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, 'null'] })
const timestamp = { description: 'RFC 3339, UTC, milliseconds, by the database clock.' }

export const OrderId = Type.String({ pattern: orderIdPattern, maxLength: 64 })
export const Status = Type.Unsafe<OrderStatus>({ type: 'string', enum: [...orderStatuses] })
export const Currency = Type.Unsafe<string>({ type: 'string', enum: [...currencyCodes], description: 'ISO 4217 code.' })
export const Metadata = Type.Record(Type.String({ pattern: '^[^\\u0000]{1,64}$' }), Type.String({ maxLength: 500 }), {
  maxProperties: 50,
  additionalProperties: false,
  description: 'At most 50 pairs; a name has 1 to 64 characters, a value at most 500.',
})
export const Description = Type.String({ maxLength: 2000 })

export const Order = Type.Object(
  {
    id: Type.String(),
    org_id: Type.String(),
    project_id: Nullable(Type.String()),
    amount: Type.Number({ description: 'Exact, in major units of the currency.' }),
    currency: Type.String(),
    status: Status,
    description: Nullable(Type.String()),
    metadata: Type.Record(Type.String(), Type.String()),
    created_at: Type.String(timestamp),
    updated_at: Type.String(timestamp),
    version: Type.Integer({ minimum: 1, description: 'Counts the changes; the ETag is made of it.' }),
  },
  { $id: 'Order' },
)
export type Order = Static<typeof Order>

export const NewOrder = Type.Object(
  {
    id: Type.Optional(Type.String({ ...OrderId, description: 'Your own id, a natural key; a UUIDv7 if left out.' })),
    amount: Type.Number({
      description: "Positive, at most 15 significant digits and the currency's own number of decimals.",
    }),
    currency: Type.Optional(Currency),
    project_id: Type.Optional(Nullable(Type.String({ ...Uuid, description: 'A project of the organisation.' }))),
    description: Type.Optional(Nullable(Description)),
    metadata: Type.Optional(Metadata),
  },
  { $id: 'NewOrder', additionalProperties: false },
)
export type NewOrder = Static<typeof NewOrder>

export const OrderPatch = Type.Object(
  { description: Type.Optional(Nullable(Description)), metadata: Type.Optional(Metadata) },
  { $id: 'OrderPatch', additionalProperties: false, minProperties: 1 },
)
export type OrderPatch = Static<typeof OrderPatch>

export const OrderPage = Type.Object(
  { data: Type.Array(Type.Ref(Order)), next_cursor: Nullable(Type.String()) },
  { $id: 'OrderPage' },
)
export type OrderPage = Static<typeof OrderPage>

export const OrderEventList = Type.Object({ data: Type.Array(Type.Ref(OrderEvent)) }, { $id: 'OrderEventList' })
export type OrderEventList = Static<typeof OrderEventList>

const filters = {
  status: Type.Optional(Status),
  currency: Type.Optional(Currency),
  project_id: Type.Optional(Uuid),
  created_from: Type.Optional(Instant('Inclusive.')),
  created_to: Type.Optional(Instant('Exclusive.')),
  amount_min: Type.Optional(Type.Number({ minimum: 0, description: 'Inclusive.' })),
  amount_max: Type.Optional(Type.Number({ minimum: 0, description: 'Inclusive.' })),
  q: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      pattern: '^[^\\u0000-\\u001f\\u007f]*$',
      description: 'Start of the id, or part of the description.',
    }),
  ),
}

export const OrderFilter = Type.Object(filters, { additionalProperties: false })
export type OrderFilter = Static<typeof OrderFilter>

export const OrderListQuery = Type.Object(
  {
    ...filters,
    limit: Type.Integer({ minimum: 1, default: 50, description: 'Page size; more than 200 is taken as 200.' }),
    cursor: Type.Optional(
      Type.String({ minLength: 1, maxLength: 400, description: '`next_cursor` of the page before.' }),
    ),
  },
  { additionalProperties: false },
)
export type OrderListQuery = Static<typeof OrderListQuery>

export const OrderStats = Type.Object(
  {
    from: Type.String(timestamp),
    to: Type.String(timestamp),
    data: Type.Array(
      Type.Object({
        day: Type.String({ description: 'UTC calendar day.' }),
        currency: Type.String(),
        status: Status,
        count: Type.Integer(),
        sum: Type.String({ description: 'Exact decimal; a sum may need more digits than a JSON number keeps.' }),
      }),
    ),
  },
  { $id: 'OrderStats' },
)
export type OrderStats = Static<typeof OrderStats>

export const ImportLine = Type.Object(
  { ...NewOrder.properties, id: OrderId },
  { $id: 'ImportLine', additionalProperties: false, description: 'A NewOrder that must have an id.' },
)
export type ImportLine = Static<typeof ImportLine>

export const ImportRefusal = Type.Object(
  {
    line: Type.Integer({ minimum: 1, description: 'Line of the body, counted from 1 (the CSV header is line 1).' }),
    error: Type.String(),
    message: Type.String(),
  },
  { $id: 'ImportRefusal' },
)
export type ImportRefusal = Static<typeof ImportRefusal>

export const ImportFailure = Type.Object(
  {
    error: Type.Unsafe<ErrorCode>({ type: 'string', enum: errorCodes }),
    message: Type.String(),
    through_line: Type.Integer({ minimum: 0, description: 'Up to this line each order is placed or refused.' }),
    quota: Type.Optional(Type.Ref(QuotaUse, { description: 'With QUOTA_EXCEEDED.' })),
  },
  { $id: 'ImportFailure', description: 'Why an import ended before its body did.' },
)
export type ImportFailure = Static<typeof ImportFailure>

export const ImportReport = Type.Object(
  {
    refused: Type.Array(Type.Ref(ImportRefusal)),
    lines: Type.Integer({ description: 'Orders read.' }),
    placed_count: Type.Integer({ description: 'New orders.' }),
    existing_count: Type.Integer({ description: 'Orders that were there already with the same content.' }),
    refused_count: Type.Integer(),
    failure: Type.Optional(Type.Ref(ImportFailure)),
  },
  { $id: 'ImportReport' },
)
export type ImportReport = Static<typeof ImportReport>
