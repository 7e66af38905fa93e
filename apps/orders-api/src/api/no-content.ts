import { OrdersError } from '@orders/orders'

/** What a route that takes no content says of what it was sent all the same. */
export const contentRefusals = ['JSON_INVALID', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'] as const

const isEmptyObject = (body: unknown) =>
  typeof body === 'object' && body !== null && !Array.isArray(body) && Object.keys(body).length === 0

/** A verb takes no content; an empty object is what clients that always send JSON send. */
export function assertNoContent(body: unknown): void {
  if (body === undefined || isEmptyObject(body)) return
  const message = 'must be empty'
  throw new OrdersError('VALIDATION_FAILED', `In the body, / ${message}.`, [{ path: '', message }])
}
