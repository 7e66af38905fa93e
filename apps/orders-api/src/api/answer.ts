import type { StoredAnswer } from '@orders/orders'
import type { Order } from '@orders/schema'

/** Strong validator of an order: it changes with every change of the order. */
export const etagOf = ({ version }: Pick<Order, 'version'>) => `"${version}"`

/** The answer to POST /orders as it is kept for replays, byte for byte. */
export function answerFor(order: Order, created: boolean): StoredAnswer {
  return {
    status: created ? 201 : 200,
    headers: {
      'content-type': 'application/json; charset=utf-8',
      location: `/api/v1/orders/${order.id}`,
      etag: etagOf(order),
    },
    body: JSON.stringify(order),
  }
}
