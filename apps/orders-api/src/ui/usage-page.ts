import type { FastifyInstance } from 'fastify'
import { may } from '../access/rules.ts'

const labels: Record<string, string> = {
  orders: 'Orders',
  'metadata-bytes': 'Bytes of metadata',
  projects: 'Projects',
  members: 'Members',
  webhooks: 'Webhooks',
  'import-lines': 'Lines of imports today',
  streams: 'Open streams, on this server',
  imports: 'Imports in progress, on this server',
}

const number = new Intl.NumberFormat('en')

/** What the organisation uses of its quotas. */
export async function usagePage(app: FastifyInstance) {
  app.get('/ui/usage', { schema: may.read() }, async (request, reply) => {
    const { quotas } = await app.usageOf(request.orgId)
    return reply.page('usage', {
      title: 'Usage',
      rows: quotas.map(({ name, used, limit }) => ({
        label: labels[name] ?? name,
        used: number.format(used),
        limit: number.format(limit),
        percent: Math.min(100, Math.floor((100 * used) / limit)),
      })),
    })
  })
}
