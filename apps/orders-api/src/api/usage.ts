import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Usage } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import { may } from '../access/rules.ts'
import { callerRefusals } from './refusals.ts'

/** What an organisation uses of its quotas. */
export const usageRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/usage',
    {
      schema: {
        ...may.read(),
        summary: 'Read the use of the quotas',
        description:
          'Returns the use and the limit of each quota of the organisation. Entries with the scope `this_server` limit concurrent streams and imports on one server. A request above such a limit gets `RATE_LIMITED`; above any other limit, it gets `QUOTA_EXCEEDED`. Each server reads the totals of orders and metadata every 5 s, so an organisation can exceed these two quotas by what it writes in that time.',
        tags: ['people'],
        response: { 200: Type.Ref(Usage), ...callerRefusals() },
      },
    },
    (request) => app.usageOf(request.orgId),
  )
}
