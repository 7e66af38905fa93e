import type { FastifyInstance } from 'fastify'
import { may } from '../access/rules.ts'
import { positionOf, sendStream } from '../api/order-stream.ts'
import { readValues } from './fields.ts'

/** The stream of orders for open pages, which have a session instead of a token. */
export async function live(app: FastifyInstance) {
  const options = {
    config: { keepsTime: true, rechecks: true, timeToFirstByte: true },
    exposeHeadRoute: false,
    schema: may.read('orders:read'),
  }
  app.get('/ui/orders/stream', options, async (request, reply) => {
    const { after } = readValues(request.query, ['after'])
    // What the browser says when it connects anew is newer than what the address said at first.
    const position = positionOf((request.headers['last-event-id'] as string | undefined) || after)
    return sendStream(reply, await app.orderStream.open(request, reply, position))
  })
}
