import type { StoredAnswer } from '@orders/orders'
import { errorCatalogue, type Order } from '@orders/schema'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { may } from '../access/rules.ts'
import { toldOf } from '../plugins/problems.ts'
import { claimOf, currencyOptions, emptyForm, type PlaceForm, readPlaceForm, refusedForm } from './place-form.ts'

/** The form that places an order. A refusal shows it again as it was sent; that needs no database. */
export async function placeOrderPage(app: FastifyInstance, { defaultCurrency }: { defaultCurrency: string }) {
  const show = (reply: FastifyReply, form: PlaceForm) =>
    reply.page('place-order', { title: 'Place an order', csrf: reply.csrfToken(), form, currencyOptions })

  app.get('/ui/place-order', { schema: may.write('orders:write') }, (_request, reply) =>
    show(reply, emptyForm(defaultCurrency)),
  )

  app.get('/ui/orders', { schema: may.anyone }, (_request, reply) => reply.redirect('/', 303))

  app.post(
    '/ui/orders',
    {
      schema: may.write('orders:write'),
      errorHandler(error: Error, request: FastifyRequest, reply: FastifyReply) {
        const refusal = toldOf(error, request)
        const form = refusedForm(request.body, refusal)
        return form ? show(reply.code(errorCatalogue[refusal.code].status), form) : reply.problemPage(refusal)
      },
    },
    async (request, reply) => {
      const { order, key } = readPlaceForm(request.body)
      const placed = await app.orders.placeOrder(request.orgId, order, claimOf(request.principal, key, order))
      const { id } = placed.replayed ? orderIn(placed.answer) : placed.order
      return reply.redirect(`/ui/orders/${id}?done=placed`, 303)
    },
  )
}

const orderIn = ({ body }: StoredAnswer) => JSON.parse(body) as Order
