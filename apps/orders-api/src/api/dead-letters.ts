import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { DeadLetterPage, PageQuery, Uuid } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { assertNoContent, contentRefusals } from './no-content.ts'
import { callerRefusals } from './refusals.ts'

const tags = ['dead-letters']

/** Events that could not be handed on. */
export const deadLetterRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { deadLetters } = app

  app.get(
    '/dead-letters',
    {
      schema: {
        ...may.write('orders:read'),
        summary: 'List dead letters, newest first',
        description:
          'Events of orders that the service could not process, with the last reason. The service keeps a dead letter for 90 days.',
        tags,
        querystring: PageQuery,
        response: { 200: Type.Ref(DeadLetterPage), ...callerRefusals('CURSOR_INVALID') },
      },
    },
    (request) => deadLetters.listDeadLetters(request.orgId, request.query),
  )

  app.post(
    '/dead-letters/:id/replay',
    {
      schema: {
        ...may.write('orders:write'),
        summary: 'Replay a dead letter',
        description:
          'Queues the event again and deletes the dead letter. If it fails again, it becomes a new dead letter. Later events of the order may have been published already.',
        tags,
        params: Type.Object({ id: Uuid }),
        response: { 204: Type.Null(), ...callerRefusals(...contentRefusals, 'DEAD_LETTER_NOT_FOUND') },
      },
    },
    async (request, reply) => {
      assertNoContent(request.body)
      await deadLetters.replay(request.orgId, request.params.id)
      return reply.code(204).send(null)
    },
  )
}
