import { OrdersError, type Verb, verbs, verbsFor } from '@orders/orders'
import { errorCatalogue, OrderId } from '@orders/schema'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { may } from '../access/rules.ts'
import { toldOf } from '../plugins/problems.ts'
import { errorsOf, readValues, textFault } from './fields.ts'
import { historyOf } from './history.ts'
import { money } from './money.ts'
import { timeOf } from './time.ts'

type Request = FastifyRequest<{ Params: { id: string } }>

const idPattern = new RegExp(OrderId.pattern ?? '')
const done: Record<string, string> = {
  placed: 'The order is placed.',
  confirm: 'The order is confirmed.',
  complete: 'The order is completed.',
  cancel: 'The order is cancelled.',
  edit: 'The description is saved.',
}

/** One order: everything about it, its history, and what can be done with it. */
export async function orderPage(app: FastifyInstance) {
  const { orders } = app

  async function show(request: Request, reply: FastifyReply, shown: Shown) {
    const id = idOf(request)
    const after = Number(/^\d{1,9}$/.exec(readValues(request.query, ['after']).after)?.[0] ?? 0)
    const [order, history] = await Promise.all([
      orders.getOrder(request.orgId, id),
      orders.listEvents(request.orgId, id, { after }),
    ])
    return reply.page('order', {
      title: `Order ${id}`,
      csrf: reply.csrfToken(),
      order,
      amount: money(String(order.amount), order.currency),
      created: timeOf(order.created_at),
      updated: timeOf(order.updated_at),
      metadata: Object.entries(order.metadata),
      history: historyOf(history),
      verbs: verbsFor(order.status),
      description: order.description ?? '',
      errors: {},
      ...shown,
    })
  }

  /** A refusal that leaves the order as it is: the page says so, above the order as it is now. */
  async function showRefused(error: Error, request: FastifyRequest, reply: FastifyReply) {
    const { code, message, faults } = toldOf(error, request)
    if (!shownHere.has(code)) return reply.problemPage({ code, message })
    const { description } = readValues(request.body, ['description'])
    const edited = request.routeOptions.url === '/ui/orders/:id/edit' && { description }
    reply.code(errorCatalogue[code].status)
    return show(request as Request, reply, { message, errors: errorsOf(faults), ...edited })
  }

  app.get<{ Params: { id: string } }>('/ui/orders/:id', { schema: may.read('orders:read') }, async (request, reply) => {
    const notice = done[readValues(request.query, ['done']).done]
    return show(request, reply, { ...(notice && { notice }) })
  })

  for (const verb of verbs) {
    app.post<{ Params: { id: string } }>(
      `/ui/orders/:id/${verb}`,
      { errorHandler: showRefused, schema: may.write('orders:write') },
      async (request, reply) => {
        const { id } = await orders.changeStatus(request.orgId, idOf(request), verb)
        return backTo(reply, id, verb)
      },
    )
  }

  app.post<{ Params: { id: string } }>(
    '/ui/orders/:id/edit',
    { errorHandler: showRefused, schema: may.write('orders:write') },
    async (request, reply) => {
      const { description, version } = readValues(request.body, ['description', 'version'])
      const message = textFault(description, 2000)
      if (message)
        throw new OrdersError('VALIDATION_FAILED', 'Nothing has been saved.', [{ path: '/description', message }])
      const patch = { description: description || null }
      const { id } = await orders
        .editOrder(request.orgId, idOf(request), patch, (now) => String(now) === version)
        .catch(asChanged)
      return backTo(reply, id, 'edit')
    },
  )
}

type Shown = { notice?: string; message?: string; errors?: Record<string, string>; description?: string }

const shownHere = new Set(['ILLEGAL_TRANSITION', 'PRECONDITION_FAILED', 'VALIDATION_FAILED'])

const backTo = (reply: FastifyReply, id: string, what: Verb | 'edit') =>
  reply.redirect(`/ui/orders/${id}?done=${what}`, 303)

/** Throws ORDER_NOT_FOUND for what cannot be an id. */
function idOf({ params }: { params: unknown }): string {
  const { id } = params as { id: string }
  if (!idPattern.test(id)) throw new OrdersError('ORDER_NOT_FOUND', 'There is no order with such an id.')
  return id
}

function asChanged(error: unknown): never {
  if (!(error instanceof OrdersError) || error.code !== 'PRECONDITION_FAILED') throw error
  const message = 'The order has changed since you opened it. Look at it again, then save your description.'
  throw new OrdersError('PRECONDITION_FAILED', message)
}
