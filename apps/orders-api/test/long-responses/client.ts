import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { importJWK, type JWK, SignJWT } from 'jose'
import pg from 'pg'
import type { Test } from 'tap'
import type { Service } from '../service.ts'

export type Guest = { id: string; org: string; headers: { authorization: string } }

export async function signInAsGuest({ send }: Service): Promise<Guest> {
  const { json } = await send('POST', '/api/v1/auth/guest')
  return { id: json.user.id, org: json.org.id, headers: { authorization: `Bearer ${json.access_token}` } }
}

/** A guest's token that expires after so many milliseconds, rounded up to a second. */
export async function tokenFor(
  guestKeys: string,
  { id }: Guest,
  lifetimeMs: number,
): Promise<{ authorization: string }> {
  const [key] = JSON.parse(guestKeys).keys as [JWK]
  const token = await new SignJWT({ scope: 'orders:read orders:write orgs:write' })
    .setProtectedHeader({ alg: 'EdDSA', kid: key.kid as string, typ: 'at+jwt' })
    .setIssuer('orders')
    .setAudience('orders')
    .setSubject(id)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime(Math.ceil((Date.now() + lifetimeMs) / 1000))
    .sign(await importJWK(key, 'EdDSA'))
  return { authorization: `Bearer ${token}` }
}

export type Open = {
  response: http.IncomingMessage
  /** Resolves to what was read when the response has ended, and whether it is complete. */
  ended: Promise<{ text: string; complete: boolean }>
  request: http.ClientRequest
}

/** Sends a request, and reads its response, unless `reads` is false, until it ends. */
export async function openResponse(
  { port }: Service,
  { method = 'GET', path, headers = {} }: { method?: string; path: string; headers?: http.OutgoingHttpHeaders },
  { body, reads = true }: { body?: string; reads?: boolean } = {},
): Promise<Open> {
  const request = http.request({ port, host: '127.0.0.1', method, path, headers, agent: false })
  request.on('error', () => {})
  if (body === undefined) request.end()
  else request.write(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  let text = ''
  response.on('error', () => {}) // a response that breaks off is told by `complete`
  if (reads) response.setEncoding('utf8').on('data', (piece) => (text += piece))
  const ended = new Promise<{ text: string; complete: boolean }>((resolve) =>
    response.on('close', () => resolve({ text, complete: response.complete })),
  )
  return { response, ended, request }
}

export const openStream = (service: Service, headers: http.OutgoingHttpHeaders, path = '/api/v1/orders/stream') =>
  openResponse(service, { path, headers })

export const openExport = (service: Service, headers: http.OutgoingHttpHeaders) =>
  openResponse(service, { path: '/api/v1/orders/export?format=ndjson', headers }, { reads: false })

/** Begins an import of one line that is refused, so that its report begins, and one that is placed. */
export function openImport(service: Service, headers: http.OutgoingHttpHeaders, id = 'first'): Promise<Open> {
  const all = { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson', ...headers }
  const body = `{}\n${JSON.stringify({ id, amount: 1 })}\n`
  return openResponse(service, { method: 'POST', path: '/api/v1/orders/import', headers: all }, { body })
}

/** More orders than the buffers between the server and a client that does not read can hold. */
export async function placeMany({ send }: Service, headers: http.OutgoingHttpHeaders, count = 400): Promise<void> {
  const metadata = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 'x'.repeat(500)]))
  for (let first = 0; first < count; first += 100) {
    const lines = Array.from({ length: 100 }, (_, i) =>
      JSON.stringify({ id: `many-${first + i}`, amount: 1, metadata }),
    )
    const all = { 'content-type': 'application/x-ndjson', ...headers }
    const { json } = await send('POST', '/api/v1/orders/import', { headers: all, body: lines.join('\n') })
    if (json.placed_count !== 100) throw new Error(JSON.stringify(json).slice(0, 500))
  }
}

/** Waits until a condition holds; rejects after 20 s. */
export async function until(condition: () => unknown): Promise<void> {
  for (const giveUpAt = Date.now() + 20_000; !(await condition()); await new Promise((r) => setTimeout(r, 10)))
    if (Date.now() > giveUpAt) throw new Error(`not within 20 s: ${condition}`)
}

/** Sends a request and closes its connection once a condition holds. Resolves to the response when the server knows. */
export async function sendAndLeave(
  { port, server }: Service,
  path: string,
  { headers }: Pick<Guest, 'headers'>,
  condition: () => unknown,
): Promise<http.ServerResponse> {
  const received = once(server.server, 'request')
  const client = http.get({ port, host: '127.0.0.1', path, headers, agent: false }).on('error', () => {})
  const [{ socket }, response] = (await received) as [http.IncomingMessage, http.ServerResponse]
  await until(condition)
  const closed = once(socket, 'close')
  client.destroy()
  await closed
  return response
}

/** Reports whether the handler has answered, also if the client had left. */
export const isAnswered = (response: http.ServerResponse) => response.headersSent || response.hasHeader('content-type')

export async function openClient(t: Pick<Test, 'teardown'>, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Reports whether a query of the connection's database waits for a lock. */
export async function waitsForLock(client: pg.Client): Promise<boolean> {
  const ofThis = 'database = (SELECT oid FROM pg_database WHERE datname = current_database())'
  const { rows } = await client.query(`SELECT FROM pg_locks WHERE NOT granted AND ${ofThis}`)
  return rows.length > 0
}
