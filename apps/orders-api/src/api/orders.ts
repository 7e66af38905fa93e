import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { StoredAnswer } from '@orders/orders'
import { NewOrder, Order, OrderId, OrderListQuery, OrderPage, OrderPatch } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { etagOf } from './answer.ts'
import { filterOf } from './filter.ts'
import { claimOf, IdempotencyHeaders, sendStored } from './idempotency.ts'
import { matches, requireMatch } from './preconditions.ts'
import { readPage } from './read-page.ts'
import { callerRefusals } from './refusals.ts'

export const OrderParams = Type.Object({ id: OrderId })

/** Places, lists, reads and edits orders. */
export const orderRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { orders } = app
  const pageBodies = new WeakMap<OrderPage, Buffer>() // requests for one page share the object, so also its text

  app.post(
    '/orders',
    {
      config: { keepsTime: true },
      schema: {
        ...may.write('orders:write'),
        summary: 'Place an order',
        tags: ['orders'],
        headers: IdempotencyHeaders,
        body: Type.Ref(NewOrder),
        response: {
          201: Type.Ref(Order, { description: 'Placed. Location and ETag are set.' }),
          200: Type.Ref(Order, { description: 'It was placed before with the same content.' }),
          ...callerRefusals(
            'JSON_INVALID',
            'AMOUNT_INVALID',
            'IDEMPOTENCY_KEY_INVALID',
            'PROJECT_NOT_FOUND',
            'ORDER_ID_TAKEN',
            'IDEMPOTENCY_IN_FLIGHT',
            'IDEMPOTENCY_MISMATCH',
            'BODY_TOO_LARGE',
            'UNSUPPORTED_MEDIA_TYPE',
            'QUOTA_EXCEEDED',
          ),
        },
      },
    },
    async (request, reply) => {
      const key = request.headers['idempotency-key']
      const claim = key === undefined ? undefined : claimOf(request, key)
      const placed = await orders.placeOrder(request.orgId, request.body, claim)
      if (placed.replayed || placed.answer) {
        if (placed.replayed) reply.header('idempotency-replayed', 'true')
        return sendStored(reply, placed.answer as StoredAnswer) as never
      }
      const { order, created } = placed
      reply.header('location', `/api/v1/orders/${order.id}`).header('etag', etagOf(order))
      return reply.code(created ? 201 : 200).send(order)
    },
  )

  app.get(
    '/orders',
    {
      config: { keepsTime: true },
      schema: {
        ...may.read('orders:read'),
        summary: 'List orders, newest first',
        description: 'A `Link` header with `rel="next"` names the next page, if there is one.',
        tags: ['orders'],
        querystring: OrderListQuery,
        response: { 200: Type.Ref(OrderPage), ...callerRefusals('CURSOR_INVALID') },
      },
    },
    async (request, reply) => {
      const { limit, cursor } = request.query
      const page = await readPage(reply as never, { filter: filterOf(request.query), limit, cursor })
      if (page.next_cursor) reply.header('link', `<${nextPage(request.url, page.next_cursor)}>; rel="next"`)
      let body = pageBodies.get(page)
      if (!body) {
        body = Buffer.from(reply.serializeInput(page, '200') as string)
        pageBodies.set(page, body)
      }
      return reply.type('application/json; charset=utf-8').send(body as never)
    },
  )

  app.get(
    '/orders/:id',
    {
      config: { keepsTime: true },
      schema: {
        ...may.read('orders:read'),
        summary: 'Read an order',
        tags: ['orders'],
        params: OrderParams,
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: {
          200: Type.Ref(Order),
          304: Type.Null({ description: 'It is as If-None-Match says.' }),
          ...callerRefusals('ORDER_NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      const order = await orders.getOrder(request.orgId, request.params.id)
      reply.header('etag', etagOf(order))
      if (matches(request.headers['if-none-match'], etagOf(order))) return reply.code(304).send(undefined as never)
      return order
    },
  )

  app.patch(
    '/orders/:id',
    {
      schema: {
        ...may.write('orders:write'),
        summary: 'Edit the description or the metadata',
        tags: ['orders'],
        params: OrderParams,
        headers: Type.Object({ 'if-match': Type.Optional(Type.String({ description: 'ETag of the order as read.' })) }),
        body: Type.Ref(OrderPatch),
        response: {
          200: Type.Ref(Order),
          ...callerRefusals(
            'JSON_INVALID',
            'ORDER_NOT_FOUND',
            'PRECONDITION_FAILED',
            'BODY_TOO_LARGE',
            'UNSUPPORTED_MEDIA_TYPE',
            'PRECONDITION_REQUIRED',
            'QUOTA_EXCEEDED',
          ),
        },
      },
    },
    async (request, reply) => {
      const isCurrent = requireMatch(request.headers['if-match'])
      const order = await orders.editOrder(request.orgId, request.params.id, request.body, isCurrent)
      reply.header('etag', etagOf(order))
      return order
    },
  )
}

function nextPage(url: string, cursor: string): string {
  const [path = '', query = ''] = url.split('?', 2)
  const parameters = new URLSearchParams(query)
  parameters.set('cursor', cursor)
  return `${path}?${parameters}`
}
