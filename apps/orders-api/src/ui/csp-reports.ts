import { isUtf8 } from 'node:buffer'
import type { FastifyInstance } from 'fastify'
import { may } from '../access/rules.ts'

const maxBytes = 16_384
const maxLength = 200

/** Where browsers tell that a page tried what its Content-Security-Policy forbids: a line in the log each. */
export async function cspReports(app: FastifyInstance) {
  app.decorate('acceptedTypes', ['application/reports+json'])
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    'application/reports+json',
    { parseAs: 'buffer', bodyLimit: maxBytes },
    (_request, body, done) => done(null, body),
  )
  app.post('/ui/csp-reports', { schema: { ...may.anyone, hide: true } }, (request, reply) => {
    for (const report of readReports(request.body as Buffer))
      request.log.warn({ csp: report, reqId: request.id }, 'a page broke its policy')
    return reply.code(204).send()
  })
}

/** The first few of the reports, each cut to what tells one fault from another; anyone may send these. */
function readReports(body: Buffer): Record<string, string>[] {
  try {
    const reports: unknown = isUtf8(body) ? JSON.parse(body.toString()) : []
    return (Array.isArray(reports) ? reports.slice(0, 5) : []).map((report) => {
      const { effectiveDirective, blockedURL, documentURL } = report?.body ?? {}
      return Object.fromEntries(
        Object.entries({ effectiveDirective, blockedURL, documentURL }).map(([name, value]) => [
          name,
          String(value).slice(0, maxLength),
        ]),
      )
    })
  } catch {
    return []
  }
}
