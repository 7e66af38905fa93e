import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { NewWebhook, PageQuery, Uuid, Webhook, WebhookPage, WebhookPatch, WebhookWithSecret } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { etagOf } from './answer.ts'
import { IdempotencyHeaders, onceOf, sendMade } from './idempotency.ts'
import { assertNoContent, contentRefusals } from './no-content.ts'
import { requireMatch } from './preconditions.ts'
import { callerRefusals, keyRefusals } from './refusals.ts'

export const WebhookParams = Type.Object({ id: Uuid })
const bodyRefusals = ['JSON_INVALID', 'BODY_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'WEBHOOK_URL_REFUSED'] as const
const bodyLimit = 8192
const location = '/api/v1/webhooks/'
const tags = ['webhooks']

/** Whom to tell of orders. Owners change webhooks, everybody in the organisation sees them, nobody their secrets. */
export const webhookRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const { webhooks } = app

  app.post(
    '/webhooks',
    {
      bodyLimit,
      schema: {
        ...may.own('orgs:write'),
        summary: 'Make a webhook',
        description: 'Messages are signed as Standard Webhooks says. A shared secret is shown in this answer only.',
        tags,
        headers: IdempotencyHeaders,
        body: Type.Ref(NewWebhook),
        response: {
          201: Type.Ref(WebhookWithSecret),
          ...callerRefusals(...bodyRefusals, ...keyRefusals, 'QUOTA_EXCEEDED'),
        },
      },
    },
    async (request, reply) => {
      const once = onceOf<WebhookWithSecret>(request, 'POST /webhooks', location)
      const result = await webhooks.createWebhook(request.orgId, request.body, once)
      if (!result.replayed) app.audit(request, 'webhook.made', { webhook: result.made.id })
      return sendMade(reply, location, result) as never
    },
  )

  app.get(
    '/webhooks',
    {
      schema: {
        ...may.read('orders:read'),
        summary: 'List webhooks, newest first',
        tags,
        querystring: PageQuery,
        response: { 200: Type.Ref(WebhookPage), ...callerRefusals('CURSOR_INVALID') },
      },
    },
    (request) => webhooks.listWebhooks(request.orgId, request.query),
  )

  app.get(
    '/webhooks/:id',
    {
      schema: {
        ...may.read('orders:read'),
        summary: 'Read a webhook',
        tags,
        params: WebhookParams,
        response: { 200: Type.Ref(Webhook), ...callerRefusals('WEBHOOK_NOT_FOUND') },
      },
    },
    async (request, reply) => {
      const webhook = await webhooks.getWebhook(request.orgId, request.params.id)
      reply.header('etag', etagOf(webhook))
      return webhook
    },
  )

  app.patch(
    '/webhooks/:id',
    {
      bodyLimit,
      schema: {
        ...may.own('orgs:write'),
        summary: 'Change, pause or enable a webhook',
        description:
          'A webhook that is not enabled gets no new events. Its pending deliveries wait for up to 30 days, and events without a delivery yet for up to 7 days.',
        tags,
        params: WebhookParams,
        headers: Type.Object({ 'if-match': Type.Optional(Type.String({ description: 'ETag of it as read.' })) }),
        body: Type.Ref(WebhookPatch),
        response: {
          200: Type.Ref(Webhook),
          ...callerRefusals(...bodyRefusals, 'WEBHOOK_NOT_FOUND', 'PRECONDITION_FAILED', 'PRECONDITION_REQUIRED'),
        },
      },
    },
    async (request, reply) => {
      const isCurrent = requireMatch(request.headers['if-match'])
      const webhook = await webhooks.changeWebhook(request.orgId, request.params.id, request.body, isCurrent)
      app.audit(request, 'webhook.changed', { webhook: webhook.id })
      reply.header('etag', etagOf(webhook))
      return webhook
    },
  )

  app.delete(
    '/webhooks/:id',
    {
      schema: {
        ...may.own('orgs:write'),
        summary: 'Delete a webhook, with its deliveries',
        tags,
        params: WebhookParams,
        response: { 204: Type.Null(), ...callerRefusals('WEBHOOK_NOT_FOUND') },
      },
    },
    async (request, reply) => {
      await webhooks.removeWebhook(request.orgId, request.params.id)
      app.audit(request, 'webhook.deleted', { webhook: request.params.id })
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/webhooks/:id/rotate-secret',
    {
      schema: {
        ...may.own('orgs:write'),
        summary: 'Give a webhook a new key',
        description: 'For 24 hours messages are signed with both. A shared secret is shown in this answer only.',
        tags,
        params: WebhookParams,
        headers: IdempotencyHeaders,
        response: {
          201: Type.Ref(WebhookWithSecret),
          ...callerRefusals(...keyRefusals, ...contentRefusals, 'WEBHOOK_NOT_FOUND'),
        },
      },
    },
    async (request, reply) => {
      assertNoContent(request.body)
      const { id } = request.params
      const once = onceOf<WebhookWithSecret>(request, `POST /webhooks/${id}/rotate-secret`, location)
      const result = await webhooks.rotateSecret(request.orgId, id, once)
      if (!result.replayed) app.audit(request, 'webhook.key-rotated', { webhook: id })
      return sendMade(reply, location, result) as never
    },
  )
}
