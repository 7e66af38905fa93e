import { OrdersError } from '@orders/orders'
import { type ErrorCode, errorCatalogue } from '@orders/schema'
import type { FastifyInstance } from 'fastify'
import { may } from '../access/rules.ts'

/** What each `type` of a problem document leads to: the meaning of its code, and what to do. */
export async function errorPages(app: FastifyInstance) {
  const entries = Object.entries(errorCatalogue).map(([code, entry]) => ({ code, ...entry }))

  app.get('/errors', { schema: may.anyone }, (_request, reply) => reply.page('errors', { title: 'Errors', entries }))

  app.get<{ Params: { code: string } }>('/errors/:code', { schema: may.anyone }, (request, reply) => {
    const { code } = request.params
    if (!Object.hasOwn(errorCatalogue, code)) {
      throw new OrdersError('NOT_FOUND', 'There is no error with this code.')
    }
    const { status, title: heading, help } = errorCatalogue[code as ErrorCode]
    return reply.page('error', { title: code, code, status, heading, help })
  })
}
