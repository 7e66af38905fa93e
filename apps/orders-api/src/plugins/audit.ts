import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

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
    /** Writes one line. `about` names what it was done to; never give it a secret. */
    audit(request: FastifyRequest, event: AuditEvent, about?: Record<string, string | null>): void
  }
}

/** The audit log: lines with `audit`, which stand in the log at every level but silent. */
async function audit(app: FastifyInstance) {
  const log = app.log.child({}, { level: app.log.level === 'silent' ? 'silent' : 'info' })
  app.decorate('audit', (request, event, about = {}) => {
    const who = { user: request.caller?.user?.id ?? null, org: request.caller?.orgId ?? null, address: request.ip }
    log.info({ audit: event, ...who, reqId: request.id, ...about }, event)
  })
}

export default fp(audit, { name: 'audit' })
