import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Delivery, DeliveryPage, PageQuery } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { assertNoContent, contentRefusals } from './no-content.ts'
import { callerRefusals } from './refusals.ts'
import { WebhookParams } from './webhooks.ts'

const tags = ['webhooks']

/** What webhooks were sent, and what they answered. */
export const deliveryRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { webhooks } = app

  app.post(
    '/webhooks/:id/test',
    {
      schema: {
        ...may.own('orgs:write'),
        summary: 'Send a webhook a test',
        description: 'The message is queued like any other. The deliveries of the webhook show its result.',
        tags,
        params: WebhookParams,
        response: {
          202: Type.Ref(Delivery),
          ...callerRefusals(...contentRefusals, 'WEBHOOK_NOT_FOUND', 'WEBHOOK_DISABLED'),
        },
      },
    },
    async (request, reply) => {
      assertNoContent(request.body)
      return reply.code(202).send(await webhooks.testWebhook(request.orgId, request.params.id))
    },
  )

  app.get(
    '/webhooks/:id/deliveries',
    {
      schema: {
        ...may.read('orders:read'),
        summary: 'List the deliveries of a webhook, newest first',
        tags,
        params: WebhookParams,
        querystring: PageQuery,
        response: { 200: Type.Ref(DeliveryPage), ...callerRefusals('WEBHOOK_NOT_FOUND', 'CURSOR_INVALID') },
      },
    },
    (request) => webhooks.listDeliveries(request.orgId, request.params.id, request.query),
  )

  app.post(
    '/deliveries/:id/resend',
    {
      schema: {
        ...may.own('orgs:write'),
        summary: 'Send a delivery again, now',
        description: 'Under the same webhook-id; if it fails, it is tried on the whole schedule once more.',
        tags,
        params: WebhookParams,
        response: {
          202: Type.Ref(Delivery),
          ...callerRefusals(...contentRefusals, 'DELIVERY_NOT_FOUND', 'WEBHOOK_DISABLED'),
        },
      },
    },
    async (request, reply) => {
      assertNoContent(request.body)
      return reply.code(202).send(await webhooks.resend(request.orgId, request.params.id))
    },
  )
}
