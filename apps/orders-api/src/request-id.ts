import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'

const requestIdPattern = /^[A-Za-z0-9._-]{1,64}$/
const traceparentPattern = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/

/** What the caller calls the request, else its trace, else a new id. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const own = headers['x-request-id']
  if (typeof own === 'string' && requestIdPattern.test(own)) return own
  const trace = traceparentPattern.exec(String(headers.traceparent ?? ''))
  return trace?.[1] ?? randomUUID()
}
