import { Agent, type IncomingHttpHeaders, request } from 'node:http'

export type Answer = { status: number; headers: IncomingHttpHeaders; body: string }

type Request = {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  headers?: Record<string, string>
  /** Sent as JSON, or as a form if it is URLSearchParams. */
  body?: unknown
  agent?: Agent
  timeoutMs?: number
}

/** Connections that are kept and used again. */
export const keepAlive = (maxSockets = Number.POSITIVE_INFINITY) => new Agent({ keepAlive: true, maxSockets })

/** Sends one request and reads its whole answer. Rejects if the connection fails, or after `timeoutMs`; never retries. */
export function send(url: string, { method = 'GET', headers = {}, body, agent, timeoutMs = 10_000 }: Request = {}) {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const isForm = body instanceof URLSearchParams
  const text = body === undefined ? undefined : isForm ? body.toString() : JSON.stringify(body)
  const contentType = isForm ? 'application/x-www-form-urlencoded' : 'application/json'
  const type = text === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }
  const late = setTimeout(() => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs)
  const outgoing = request(url, { method, agent: agent ?? false, headers: { ...type, ...headers } }, (incoming) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('error', reject)
    incoming.on('end', () => {
      resolve({
        status: incoming.statusCode ?? 0,
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString('utf8'),
      })
    })
  })
  outgoing.on('error', reject)
  outgoing.on('close', () => clearTimeout(late))
  outgoing.end(text)
  return promise
}

/** Places an order under a key. */
export const place = (url: string, key: string, order: object, agent?: Agent) =>
  send(`${url}/api/v1/orders`, {
    method: 'POST',
    headers: { 'idempotency-key': key },
    body: order,
    ...(agent && { agent }),
  })
