import { type Static, Type } from '@sinclair/typebox'

export const orderEventTypes = [
  'orders.order.placed.v1',
  'orders.order.confirmed.v1',
  'orders.order.completed.v1',
  'orders.order.cancelled.v1',
  'orders.order.updated.v1',
] as const
export type OrderEventType = (typeof orderEventTypes)[number]

export const OrderEvent = Type.Object(
  {
    id: Type.String({ description: 'Order id and sequence; unique in the organisation.' }),
    type: Type.Unsafe<OrderEventType>({ type: 'string', enum: [...orderEventTypes] }),
    order_id: Type.String(),
    sequence: Type.Integer({ minimum: 1, description: 'Counts the events of one order without a gap.' }),
    occurred_at: Type.String({ description: 'RFC 3339, UTC, milliseconds, by the database clock.' }),
    data: Type.Record(Type.String(), Type.Unknown(), { description: 'The order after the change.' }),
  },
  { $id: 'OrderEvent' },
)
export type OrderEvent = Static<typeof OrderEvent>
