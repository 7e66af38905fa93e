import { defaultOrgId } from '@orders/database'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyRequest {
    /** Organisation that the request acts in. */
    orgId: string
    /** Who acts; keys of two callers never meet. */
    principal: string
  }
}

/** Who calls, and in which organisation: until there are people and tokens, everybody in `default`. */
async function tenant(app: FastifyInstance) {
  app.decorateRequest('orgId', defaultOrgId)
  app.decorateRequest('principal', 'open')
}

export default fp(tenant, { name: 'tenant' })
