import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { connectionOptions, openDatabase } from '@orders/database'
import pg from 'pg'
import type { Test } from 'tap'
import { createDelivering, type Sender } from '../src/deliver.ts'
import { createFanOut } from '../src/fan-out.ts'
import { createRelay } from '../src/relay.ts'
import { createWebhooks } from '../src/webhooks.ts'
import { startOrders } from './service.ts'

export type Received = {
  path: string
  id: string
  at: number
  body: { data: { id: string } } & Record<string, unknown>
}

/** Answers a request after so many milliseconds: 200 at once where nothing is said. */
type Reaction = { status?: number; afterMs?: number; headers?: http.OutgoingHttpHeaders; body?: string }

/** A server whose paths are receivers, and what came to them. */
export async function startReceivers(t: Test) {
  const received: Received[] = []
  const reactions = new Map<string, Reaction>()
  const server = http.createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk)
    const path = request.url ?? ''
    const body = JSON.parse(Buffer.concat(chunks).toString())
    received.push({ path, id: String(request.headers['webhook-id']), at: Date.now(), body })
    const { status = 200, afterMs = 0, headers = {}, body: reply = 'ok' } = reactions.get(path) ?? {}
    if (afterMs > 0) await delay(afterMs)
    response.writeHead(status, headers).end(reply)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { received, reactions, url: (path: string) => `http://127.0.0.1:${port}${path}` }
}

/** Sends without a guard or a signature, but says how many secrets it was given. */
export const fetchSender: Sender = async ({ url, id, timestamp, body, secrets }) => {
  const started = performance.now()
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'x-secrets': String(secrets.length) }
  const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(10_000) })
  const reply = await response.text()
  const retryAfter = response.headers.get('retry-after')
  return {
    status: response.status,
    reply,
    duration_ms: performance.now() - started,
    ...(retryAfter !== null && { retry_after_seconds: Number(retryAfter) }),
  }
}

/** Orders, webhooks and a worker on a database of their own. */
export async function startWebhooks(t: Test) {
  const service = await startOrders(t)
  const checked: string[] = []
  const webhooks = await createWebhooks({
    database: service.database,
    checkUrl: async (url) => {
      checked.push(url)
      return url.includes('nowhere') ? 'leads nowhere' : undefined
    },
  })
  const another = (options: Partial<Parameters<typeof createDelivering>[0]> = {}) => {
    const pool = new pg.Pool(connectionOptions(service.url, { role: 'orders_worker' }))
    const database = openDatabase(pool, () => {})
    const delivering = createDelivering({ database, send: fetchSender, ...options })
    t.teardown(async () => {
      await delivering.idle()
      await pool.end()
    })
    return {
      ...delivering,
      database,
      fanOut: createFanOut({ database }),
      relay: createRelay({ database, handOn: async (events) => events.map(() => undefined) }),
    }
  }
  const newWebhook = async (url: string, asked: object = {}, org = service.org) => {
    const result = await webhooks.createWebhook(org, { url, ...asked })
    if (result.replayed) throw new Error('it was replayed')
    return result.made
  }
  const placeIn = (org: string, id: string) => service.orders.placeOrder(org, { id, amount: 1 })
  return { ...service, webhooks, checked, another, newWebhook, placeIn }
}

export type Worker = ReturnType<Awaited<ReturnType<typeof startWebhooks>>['another']>

/** Moves and delivers as a worker's loops do, until it is stopped. */
export function startWorking({ deliver, fanOut, relay }: Worker, news: { wake: () => void }) {
  let stopped = false
  let woken = Promise.withResolvers<void>()
  news.wake = () => woken.resolve()
  const ended = (async () => {
    while (!stopped) {
      woken = Promise.withResolvers<void>()
      const found = (await relay.move()) + (await fanOut()) + (await deliver())
      if (found === 0) await Promise.race([woken.promise, delay(10)])
    }
  })()
  return async () => {
    stopped = true
    await ended
  }
}
