import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { createRejectionLog } from '../access/repeated-rejections.ts'
import { networkOf } from '../rate-limits/network.ts'

/** What is written down of who did what: sign-ins, refusals, and changes of organisations, their members and webhooks. */
export type AuditEvent =
  | 'guest.signed-in'
  | 'user.signed-in'
  | 'user.signed-out'
  | 'sign-in.failed'
  | 'request.refused'
  | 'org.made'
  | 'org.changed'
  | 'org.deleted'
  | 'member.set'
  | 'member.removed'
  | 'webhook.made'
  | 'webhook.changed'
  | 'webhook.key-rotated'
  | 'webhook.deleted'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Writes one line, or counts a repeated rejection. `about` names what it was done to; never give it a secret.
     */
    audit(request: FastifyRequest, event: AuditEvent, about?: Record<string, string | null>): void
  }
}

/** Events that a client can cause with any request, as often as it likes. */
const rejections: readonly AuditEvent[] = ['request.refused', 'sign-in.failed']
const flushMs = 10_000

type Options = {
  /** Milliseconds of a monotonic clock. */
  now?: (() => number) | undefined
}

/** The audit log: lines with `audit`, which stand in the log at every level but silent. */
async function audit(app: FastifyInstance, { now = () => performance.now() }: Options) {
  const log = app.log.child({}, { level: app.log.level === 'silent' ? 'silent' : 'info' })
  const write = (event: string, fields: Record<string, unknown>) => log.info({ audit: event, ...fields }, event)
  const rejected = createRejectionLog({ now, write })

  app.decorate('audit', (request, event, about = {}) => {
    const who = { user: request.caller?.user?.id ?? null, org: request.caller?.orgId ?? null, address: request.ip }
    const fields = { ...who, reqId: request.id, ...about }
    if (!rejections.includes(event)) return write(event, fields)
    rejected.add({ event, by: fields.user ?? networkOf(request.ip), code: about.code ?? '', fields })
  })

  const flushing = setInterval(() => rejected.flush(), flushMs).unref()
  app.addHook('onClose', async () => {
    clearInterval(flushing)
    rejected.flush({ all: true })
  })
}

export default fp(audit, { name: 'audit' })
