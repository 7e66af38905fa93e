import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { OrdersError, verbs } from '@orders/orders'
import { Instant, Order, OrderEventList, OrderStats } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { etagOf } from './answer.ts'
import { instantOf } from './filter.ts'
import { assertNoContent } from './no-content.ts'
import { OrderParams } from './orders.ts'
import { callerRefusals } from './refusals.ts'

const dayMs = 86_400_000
const maxStatsDays = 366
const startOfTime = Date.parse('0001-01-01T00:00:00Z')

const StatsQuery = Type.Object(
  {
    from: Type.Optional(Instant('Inclusive; 30 days before `to` if left out.')),
    to: Type.Optional(Instant('Exclusive; now if left out.')),
  },
  { additionalProperties: false },
)

/** The verbs that move an order on, its history, and the counts over all orders. */
export const orderHistoryRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { orders } = app
  /** After every order that was placed so far, to whose microseconds a Date is not exact. */
  const now = async () => new Date(Math.ceil(await app.clock.read())).toISOString()

  for (const verb of verbs) {
    app.post(
      `/orders/:id/${verb}`,
      {
        schema: {
          ...may.write('orders:write'),
          summary: `${verb[0]?.toUpperCase()}${verb.slice(1)} an order`,
          tags: ['orders'],
          params: OrderParams,
          response: {
            200: Type.Ref(Order, { description: 'The order now; the same verb again changes nothing.' }),
            ...callerRefusals(
              'JSON_INVALID',
              'ORDER_NOT_FOUND',
              'ILLEGAL_TRANSITION',
              'BODY_TOO_LARGE',
              'UNSUPPORTED_MEDIA_TYPE',
            ),
          },
        },
      },
      async (request, reply) => {
        assertNoContent(request.body)
        const order = await orders.changeStatus(request.orgId, request.params.id, verb)
        reply.header('etag', etagOf(order))
        return order
      },
    )
  }

  app.get(
    '/orders/:id/events',
    {
      schema: {
        ...may.read('orders:read'),
        summary: 'History of an order, in order',
        description:
          'A response has fewer events than `limit` if they are large. Continue with `after` set to the last `sequence` until `data` is empty.',
        tags: ['orders'],
        params: OrderParams,
        querystring: Type.Object(
          {
            after: Type.Integer({
              minimum: 0,
              maximum: 2_147_483_647,
              default: 0,
              description: 'Sequence to go on from.',
            }),
            limit: Type.Integer({ minimum: 1, maximum: 200, default: 200 }),
          },
          { additionalProperties: false },
        ),
        response: { 200: Type.Ref(OrderEventList), ...callerRefusals('ORDER_NOT_FOUND') },
      },
    },
    async (request) => {
      const { events } = await orders.listEvents(request.orgId, request.params.id, request.query)
      return { data: events }
    },
  )

  app.get(
    '/orders/stats',
    {
      schema: {
        ...may.read('orders:read'),
        summary: 'Counts and sums per day, currency and status',
        description: `Counts and sums of the orders created in the range [from, to), by UTC day, currency and current status. The range may span at most ${maxStatsDays} days. Days without orders have no row. An order counts as soon as it is placed.`,
        tags: ['orders'],
        querystring: StatsQuery,
        response: { 200: Type.Ref(OrderStats), ...callerRefusals() },
      },
    },
    async (request, reply) => {
      const to = request.query.to === undefined ? await now() : instantOf('/to', request.query.to)
      const earliest = new Date(Math.max(Date.parse(to) - 30 * dayMs, startOfTime)).toISOString()
      const from = request.query.from === undefined ? earliest : instantOf('/from', request.query.from)
      const span = Date.parse(to) - Date.parse(from)
      if (span <= 0 || span > maxStatsDays * dayMs) {
        const [path, message] =
          request.query.from === undefined
            ? ['/to', 'must be later than the first instant of the year 1']
            : ['/from', `must be at most ${maxStatsDays} days before /to`]
        throw new OrdersError('VALIDATION_FAILED', `In the querystring, ${path} ${message}.`, [{ path, message }])
      }
      const data = await reply.scan(`stats ${from} ${to}`, (signal) =>
        orders.orderStats(request.orgId, { from, to, now: app.clock.now() }, signal),
      )
      const range = JSON.stringify({ from, to })
      return reply.type('application/json; charset=utf-8').send(`${range.slice(0, -1)},"data":${data}}` as never)
    },
  )
}
