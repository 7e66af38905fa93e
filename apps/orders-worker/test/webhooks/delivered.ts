import http, { type IncomingHttpHeaders } from 'node:http'
import { connectDatabase } from '@orders/database'
import { createScratchDatabase, newOrganisation } from '@orders/database/testing'
import { createDelivering, createFanOut, createOrders, createRelay, createWebhooks } from '@orders/orders'
import type { Order, WebhookSignature } from '@orders/schema'
import type { Test } from 'tap'
import { createSender } from '../../src/webhooks/sender.ts'
import { listen } from './servers.ts'

export type Delivered = { headers: Record<string, string>; body: string }

/** Places an order with a webhook, and returns the message that arrived, byte for byte, with what verifies it. */
export async function deliverOne(t: Test, signature: WebhookSignature) {
  const arrived = Promise.withResolvers<Delivered>()
  const receiver = http.createServer(async (request, reply) => {
    const body = Buffer.concat(await request.toArray()).toString()
    arrived.resolve({ headers: plain(request.headers), body })
    reply.writeHead(204).end()
  })
  const target = `http://127.0.0.1:${await listen(t, receiver)}/`
  const { url } = await createScratchDatabase(t)
  const org = await newOrganisation(url)
  const open = (role: 'orders_app' | 'orders_worker') => {
    const { database, close } = connectDatabase(url, { max: 4, role, onError: () => {} })
    t.teardown(close)
    return database
  }
  const [one, every] = [open('orders_app'), open('orders_worker')]
  const webhooks = await createWebhooks({ database: one, checkUrl: async () => undefined })
  const result = await webhooks.createWebhook(org, { url: target, signature })
  if (result.replayed) throw new Error('It was replayed.')
  const orders = await createOrders({
    database: one,
    defaultCurrency: 'EUR',
    answerFor: (order) => ({ status: 201, headers: {}, body: JSON.stringify(order) }),
    onBatch: () => {},
    onEvents: () => {},
  })
  const placed = await orders.placeOrder(org, { id: 'order-1', amount: 12.5, description: 'caf\u00e9 \u2615' })
  if (placed.replayed) throw new Error('It was replayed.')

  const sender = createSender({ allowLoopback: true })
  const delivering = createDelivering({ database: every, send: sender.sendWebhook })
  const relay = createRelay({ database: every, handOn: async (events) => events.map(() => undefined) })
  while ((await relay.move()) > 0);
  await createFanOut({ database: every })()
  while ((await delivering.deliver()) > 0);
  await delivering.idle()
  sender.close()
  return { ...(await arrived.promise), webhook: result.made, org, order: placed.order as Order }
}

const plain = (headers: IncomingHttpHeaders) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]))
