import { OrdersError } from '@orders/orders'
import { etagOf } from './answer.ts'

const entityTag = /(W\/)?"[^"]*"/g

/** If-None-Match of RFC 9110: weak comparison, so the W/ does not count. */
export function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  return header.trim() === '*' || (header.match(entityTag) ?? []).some((tag) => tag.replace('W/', '') === etag)
}

/** If-Match of RFC 9110: strong comparison, so a weak tag never matches. Throws PRECONDITION_REQUIRED without one. */
export function requireMatch(header: string | undefined): (version: number) => boolean {
  if (header === undefined) {
    throw new OrdersError('PRECONDITION_REQUIRED', 'Send the ETag of what you change in If-Match.')
  }
  if (header.trim() === '*') return () => true
  const tags: string[] = header.match(entityTag) ?? []
  return (version) => tags.includes(etagOf({ version }))
}
