import { once } from 'node:events'
import http from 'node:http'

export const ndjson = { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' }

export interface Open {
  request: http.ClientRequest
  response: http.IncomingMessage
  /** What was read until now. */
  text(): string
  /** Resolves when the response has ended or broken off, which only a client that reads finds out. */
  ended: Promise<{ text: string; complete: boolean }>
}

type Request = {
  method?: 'GET' | 'POST'
  headers?: Record<string, string>
  body?: string
  /** True: the caller writes more of the body, and ends it. */
  more?: boolean
  /** False: nothing is read until the caller resumes the response. Default true. */
  reads?: boolean
}

/** Sends a request on a connection of its own, and resolves when its response begins. */
export async function openResponse(
  url: string,
  { method = 'GET', headers = {}, body, more = false, reads = true }: Request = {},
): Promise<Open> {
  const request = http.request(url, { agent: false, method, headers })
  request.on('error', () => {}) // `complete` reports a response that breaks off
  if (more) request.write(body)
  else request.end(body)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  const pieces: string[] = []
  if (!reads) response.pause()
  response.on('error', () => {})
  response.setEncoding('utf8').on('data', (piece) => pieces.push(piece))
  const text = () => pieces.join('')
  const closed = new Promise((resolve) => response.once('close', resolve))
  const ended = closed.then(() => ({ text: text(), complete: response.complete }))
  return { request, response, text, ended }
}

/** Imports orders of 25 kB each. 800 of them are more than the buffers between a server and its client can hold. */
export async function placeLarge(url: string, count: number, headers: Record<string, string> = {}): Promise<void> {
  const metadata = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 'x'.repeat(500)]))
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify({ id: `large-${i}`, amount: 1, metadata }))
  const all = { ...ndjson, ...headers }
  const { ended } = await openResponse(`${url}/orders/import`, { method: 'POST', headers: all, body: lines.join('\n') })
  const { text } = await ended
  if (!text.includes(`"placed_count":${count}`)) throw new Error(text.slice(-500))
}
