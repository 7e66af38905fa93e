import type { Made } from '@orders/orders'
import { errorCatalogue, type OrderEventType, type Webhook, type WebhookWithSecret } from '@orders/schema'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { may } from '../access/rules.ts'
import { toldOf } from '../plugins/problems.ts'
import { errorsOf, readValues } from './fields.ts'
import { eventWords } from './history.ts'
import { timeOf } from './time.ts'
import {
  emptyForm,
  eventChoices,
  onceOfForm,
  readWebhookForm,
  sentForm,
  signatureOptions,
  type WebhookForm,
} from './webhook-form.ts'

const done: Record<string, string> = { deleted: 'The webhook is deleted.' }

/** The webhooks of the organisation, and a form for the next one. */
export async function webhooksPage(app: FastifyInstance) {
  const { webhooks } = app

  async function show(request: FastifyRequest, reply: FastifyReply, form: WebhookForm) {
    const { data } = await webhooks.listWebhooks(request.orgId, { limit: shownAtMost })
    return reply.page('webhooks', {
      title: 'Webhooks',
      csrf: reply.csrfToken(),
      notice: done[readValues(request.query, ['done']).done],
      mayChange: request.caller.role === 'owner',
      rows: data.map(toRow),
      form,
      eventChoices,
      signatureOptions,
    })
  }

  app.get('/ui/webhooks', { schema: may.read('orders:read') }, (request, reply) => show(request, reply, emptyForm()))

  app.post(
    '/ui/webhooks',
    {
      schema: may.own('orgs:write'),
      errorHandler(error: Error, request: FastifyRequest, reply: FastifyReply) {
        const { code, message, faults } = toldOf(error, request)
        if (!shownHere.has(code)) return reply.problemPage({ code, message })
        reply.code(errorCatalogue[code].status)
        return show(request, reply, sentForm(request.body, errorsOf(faults), faults ? undefined : message))
      },
    },
    async (request, reply) => {
      const { asked, key } = readWebhookForm(request.body)
      const once = onceOfForm(request.principal, 'POST /ui/webhooks', key, asked)
      const result = await webhooks.createWebhook(request.orgId, asked, once)
      const made = shownOnce(result)
      if (!result.replayed) app.audit(request, 'webhook.made', { webhook: made.id })
      if (made.secret === null) return reply.redirect(`/ui/webhooks/${made.id}?done=added`, 303)
      return reply.code(201).page('webhook-secret', { title: 'Webhook added', ...made })
    },
  )
}

/** What was made, or the answer to the first time that the form was sent. */
export const shownOnce = (result: Made<WebhookWithSecret>): WebhookWithSecret =>
  result.replayed ? (JSON.parse(result.answer.body) as WebhookWithSecret) : result.made

const shownAtMost = 200

const shownHere = new Set(['VALIDATION_FAILED', 'WEBHOOK_URL_REFUSED', 'QUOTA_EXCEEDED', 'IDEMPOTENCY_MISMATCH'])

const toRow = (webhook: Webhook) => ({
  id: webhook.id,
  url: webhook.url,
  description: webhook.description,
  events: eventsOf(webhook.event_types),
  state: stateOf(webhook),
  created: timeOf(webhook.created_at),
})

export const eventsOf = (types: OrderEventType[] | null) =>
  types === null ? 'All events' : types.map((type) => eventWords[type] ?? type).join(', ')

/** What a chip says of a webhook. */
export function stateOf({ enabled, disabled_reason, first_failure_at }: Webhook): string {
  if (enabled) return first_failure_at === null ? 'working' : 'failing'
  return disabled_reason === 'paused' ? 'paused' : 'disabled'
}
