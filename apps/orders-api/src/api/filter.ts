import { OrdersError } from '@orders/orders'
import type { OrderFilter } from '@orders/schema'

/** The filters of a query, with times in UTC and milliseconds. Throws VALIDATION_FAILED. */
export function filterOf(query: OrderFilter): OrderFilter {
  const { status, currency, project_id, amount_min, amount_max, q } = query
  const given = Object.entries({ status, currency, project_id, amount_min, amount_max, q })
  return {
    ...Object.fromEntries(given.filter(([, value]) => value !== undefined)),
    ...(query.created_from !== undefined && { created_from: instantOf('/created_from', query.created_from) }),
    ...(query.created_to !== undefined && { created_to: instantOf('/created_to', query.created_to) }),
  }
}

/** A time that matches `Instant`, in UTC. Throws VALIDATION_FAILED for leap seconds and years that PostgreSQL or ISO 8601 do not have. */
export function instantOf(path: string, text: string): string {
  const time = new Date(text)
  const message = isLeapSecond(text) ? 'must not be a leap second' : 'must be a time of the years 1 to 9999'
  if (!(time.getUTCFullYear() >= 1 && time.getUTCFullYear() <= 9999)) {
    throw new OrdersError('VALIDATION_FAILED', `In the querystring, ${path} ${message}.`, [{ path, message }])
  }
  return time.toISOString()
}

const isLeapSecond = (text: string) => text.slice(17, 19) === '60'
