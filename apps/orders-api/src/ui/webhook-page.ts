import { OrdersError } from '@orders/orders'
import {
  type Delivery,
  errorCatalogue,
  isUuid,
  type OrderEventType,
  type Webhook,
  webhookTestType,
} from '@orders/schema'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { may } from '../access/rules.ts'
import { toldOf } from '../plugins/problems.ts'
import { readValues } from './fields.ts'
import { eventWords } from './history.ts'
import { timeOf } from './time.ts'
import { newKey, onceOfForm } from './webhook-form.ts'
import { eventsOf, shownOnce, stateOf } from './webhooks-page.ts'

type Params = { Params: { id: string } }

const pageSize = 25

const done: Record<string, string> = {
  added: 'The webhook is added.',
  test: 'A test is on its way: load the page again in a moment to see what came of it.',
  pause: 'The webhook is paused.',
  enable: 'The webhook is enabled.',
  rotate: 'The webhook has a new key. For 24 hours, messages are signed with both.',
  resend: 'The message is on its way again.',
}

const reasons: Record<string, string> = {
  paused: 'It was paused by an owner.',
  gone: 'It answered 410 Gone: it wants no more messages.',
  failing: 'Nothing could be delivered to it for 5 days.',
}

/** One webhook: what it is, what can be done with it, and what it was sent. */
export async function webhookPage(app: FastifyInstance) {
  const { webhooks } = app
  const own = may.own('orgs:write')

  async function show(request: FastifyRequest, reply: FastifyReply, shown: { notice?: string; message?: string }) {
    const id = idOf(request)
    const cursor = readValues(request.query, ['cursor']).cursor || undefined
    const [webhook, log] = await Promise.all([
      webhooks.getWebhook(request.orgId, id),
      webhooks.listDeliveries(request.orgId, id, { limit: pageSize, ...(cursor && { cursor }) }),
    ])
    return reply.page('webhook', {
      title: 'Webhook',
      csrf: reply.csrfToken(),
      key: newKey(),
      mayChange: request.caller.role === 'owner',
      webhook,
      facts: factsOf(webhook),
      state: stateOf(webhook),
      rows: log.data.map(toRow),
      first: cursor && `/ui/webhooks/${id}`,
      next: log.next_cursor && `/ui/webhooks/${id}?cursor=${log.next_cursor}`,
      ...shown,
    })
  }

  app.get<Params>('/ui/webhooks/:id', { schema: may.read('orders:read') }, (request, reply) => {
    const notice = done[readValues(request.query, ['done']).done]
    return show(request, reply, { ...(notice && { notice }) })
  })

  /** Does one thing with the webhook, and shows it again; a refusal stands above it. */
  function act(name: string, work: (request: FastifyRequest, id: string) => Promise<unknown>, path = name) {
    app.post<Params>(
      `/ui/webhooks/:id/${path}`,
      {
        schema: own,
        errorHandler(error: Error, request: FastifyRequest, reply: FastifyReply) {
          const { code, message } = toldOf(error, request)
          if (code !== 'WEBHOOK_DISABLED') return reply.problemPage({ code, message })
          return show(request, reply.code(errorCatalogue[code].status), { message })
        },
      },
      async (request, reply) => {
        const id = idOf(request)
        await work(request, id)
        return reply.redirect(`/ui/webhooks/${id}?done=${name}`, 303)
      },
    )
  }

  const enable = (enabled: boolean) => async (request: FastifyRequest, id: string) => {
    await webhooks.changeWebhook(request.orgId, id, { enabled }, () => true)
    app.audit(request, 'webhook.changed', { webhook: id })
  }
  act('test', ({ orgId }, id) => webhooks.testWebhook(orgId, id))
  act('pause', enable(false))
  act('enable', enable(true))
  act(
    'resend',
    ({ orgId, params }) => webhooks.resend(orgId, uuidIn(params, 'delivery', 'DELIVERY_NOT_FOUND')),
    'deliveries/:delivery/resend',
  )

  app.post<Params>('/ui/webhooks/:id/delete', { schema: own }, async (request, reply) => {
    const id = idOf(request)
    await webhooks.removeWebhook(request.orgId, id)
    app.audit(request, 'webhook.deleted', { webhook: id })
    return reply.redirect('/ui/webhooks?done=deleted', 303)
  })

  app.post<Params>('/ui/webhooks/:id/rotate', { schema: own }, async (request, reply) => {
    const id = idOf(request)
    const { key } = readValues(request.body, ['key'])
    const once = onceOfForm(request.principal, `POST /ui/webhooks/${id}/rotate`, key || newKey(), id)
    const result = await webhooks.rotateSecret(request.orgId, id, once)
    const rotated = shownOnce(result)
    if (!result.replayed) app.audit(request, 'webhook.key-rotated', { webhook: id })
    if (rotated.secret === null) return reply.redirect(`/ui/webhooks/${id}?done=rotate`, 303)
    return reply.code(201).page('webhook-secret', { title: 'New secret', ...rotated })
  })
}

const idOf = ({ params }: { params: unknown }) => uuidIn(params, 'id', 'WEBHOOK_NOT_FOUND')

function uuidIn(params: unknown, name: string, code: 'WEBHOOK_NOT_FOUND' | 'DELIVERY_NOT_FOUND'): string {
  const id = (params as Record<string, string>)[name] ?? ''
  if (!isUuid(id)) throw new OrdersError(code, 'There is nothing with such an id.')
  return id
}

const factsOf = (webhook: Webhook) => ({
  events: eventsOf(webhook.event_types),
  signature: webhook.signature === 'ed25519' ? 'A key pair (ed25519, v1a)' : 'A shared secret (HMAC-SHA256, v1)',
  reason: webhook.disabled_reason && reasons[webhook.disabled_reason],
  disabled: webhook.disabled_at && timeOf(webhook.disabled_at),
  failing: webhook.first_failure_at && timeOf(webhook.first_failure_at),
  overlap: webhook.previous_key_ends_at && timeOf(webhook.previous_key_ends_at),
  created: timeOf(webhook.created_at),
})

const toRow = (delivery: Delivery) => ({
  id: delivery.id,
  what: delivery.type === webhookTestType ? 'Test' : (eventWords[delivery.type as OrderEventType] ?? delivery.type),
  orderId: delivery.order_id,
  state: delivery.state,
  attempts: delivery.attempts,
  due: delivery.attempts > 0 && delivery.due_at ? timeOf(delivery.due_at) : null,
  answer: delivery.last_status === null ? delivery.last_error : String(delivery.last_status),
  duration: delivery.last_duration_ms === null ? null : `${delivery.last_duration_ms} ms`,
  reply: delivery.last_reply || null,
  created: timeOf(delivery.created_at),
})
