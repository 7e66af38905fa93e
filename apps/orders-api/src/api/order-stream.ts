import type { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { OrdersError } from '@orders/orders'
import { Type } from '@sinclair/typebox'
import type { FastifyReply } from 'fastify'
import { may } from '../access/rules.ts'
import { callerRefusals } from './refusals.ts'

const description = `Server-Sent Events of the organisation's orders, from now on, or from after \`Last-Event-ID\`: the id of \
an event is its position in the organisation, without a gap. \`event\` is its type and \`data\` what \`GET \
/orders/{id}/events\` tells of it. The first event is \`begin\`, with the position to begin after. A comment comes every 10 seconds. Before the server closes a stream by itself it sends \
the event \`end\` with a \`reason\`: it is going down, you read too slowly, or may no longer listen.`

/** Tells events of orders as they happen. */
export const orderStreamRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const access = may.read('orders:read')
  app.head('/orders/stream', { schema: { ...access, hide: true } }, async (request, reply) => {
    const position = positionOf(request.headers['last-event-id'] as string | undefined)
    if (position !== undefined) await app.orders.assertReadable(request.orgId, position)
    return reply.headers(streamHeaders).send()
  })

  app.get(
    '/orders/stream',
    {
      config: { keepsTime: true, rechecks: true, timeToFirstByte: true },
      exposeHeadRoute: false,
      schema: {
        ...access,
        summary: 'Events of orders as they happen',
        description,
        tags: ['orders'],
        headers: Type.Object({
          'last-event-id': Type.Optional(Type.String({ description: 'Id of the last event that was received.' })),
        }),
        response: {
          200: { description: 'The stream.', content: { 'text/event-stream': { schema: {} } } },
          ...callerRefusals('STREAM_POSITION_GONE'),
        } as never,
      },
    },
    async (request, reply) => {
      const stream = await app.orderStream.open(
        request,
        reply as FastifyReply,
        positionOf(request.headers['last-event-id']),
      )
      return sendStream(reply as FastifyReply, stream)
    },
  )
}

const streamHeaders = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }

/** Answers with a stream of events, which no proxy is to hold back. */
export const sendStream = (reply: FastifyReply, stream: Readable) => reply.headers(streamHeaders).send(stream)

/** The position that an id of an event names. Throws VALIDATION_FAILED. */
export function positionOf(id: string | undefined): number | undefined {
  if (id === undefined || id === '') return undefined
  if (/^\d{1,15}$/.test(id)) return Number(id)
  const message = 'must be the id of an event of this stream'
  throw new OrdersError('VALIDATION_FAILED', `In the headers, /last-event-id ${message}.`, [
    { path: '/last-event-id', message },
  ])
}
