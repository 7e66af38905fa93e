import { createUsage, type Quotas } from '@orders/orders'
import type { Usage } from '@orders/schema'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** What the organisation uses of its quotas, and of the limits of this process. */
    usageOf(orgId: string): Promise<Usage>
  }
}

/** The use of an organisation, which the API and the pages show. */
async function usage(app: FastifyInstance, { quotas }: { quotas: Quotas }) {
  const readUsage = createUsage(app.database, quotas)
  app.decorate('usageOf', async (orgId: string) => ({
    org_id: orgId,
    quotas: [
      ...(await readUsage(orgId)).map((use) => ({ ...use, scope: 'all_servers' as const })),
      ...app.longResponses.useOf(orgId).map((use) => ({ ...use, scope: 'this_server' as const })),
    ],
  }))
}

export default fp(usage, { name: 'usage', dependencies: ['database', 'long-responses'] })
