import { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { OrdersError } from '@orders/orders'
import { ImportReport } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { may } from '../access/rules.ts'
import { limits } from '../limits.ts'
import { acceptedType } from './accept.ts'
import { csvItems, ndjsonItems } from './import-lines.ts'
import { jsonReport, ndjsonReport } from './import-report.ts'
import { readLines } from './lines.ts'
import { callerRefusals } from './refusals.ts'

const bodyTypes = ['text/csv', 'application/x-ndjson']
const answerTypes = ['application/json', 'application/x-ndjson'] as const
const lingerMs = 1000

const description = `Places the orders of a file while the file arrives. The upload may take at most one hour. The import \
applies the rules of \`POST /orders\` to each line, and places or rejects each line separately. Every order needs an \`id\`, \
so a file can be sent again: an existing order with the same \`id\` and content counts as existing.

- \`application/x-ndjson\`: one order per line.
- \`text/csv\` (RFC 4180, UTF-8): the first line names the columns \`id\`, \`amount\`, \`currency\`, \`project_id\`, \
\`description\` and \`metadata\` (JSON) or \`metadata.<name>\`, in any order. Other columns are rejected. An empty cell means that the value is \
absent; \`""\` means an empty text. The import removes a quote (') that an export put before = + - or @, at the start or \
after , ; | tab or a line break.

A line has at most 64 KiB. Lines of white space are ignored. At least one line must arrive every 10 seconds.

The server writes the response while it reads the file, so read the response while you send. With \
\`Accept: application/x-ndjson\`, the response has one line per rejected order (\`"type": "refused"\`), about one line per \
second with the progress (\`"progress"\`), and a last line with the report (\`"report"\`). If an import cannot continue, its \
report contains \`failure\`; if the server has sent nothing yet, the response is a problem instead. If the response ends \
without a report, send the file again. When the server shuts down, or your access ends, the import places the lines that \
it has read and ends with its report.

Quotas limit the lines that an organisation imports per day (UTC), its orders and their metadata. The line quota also \
counts rejected lines and lines whose order exists. The import reserves lines in groups of up to several thousand. If a \
group exceeds a quota, the import places no line of that group and ends with \`QUOTA_EXCEEDED\`. Lines of earlier groups \
stay placed.`

/** Takes orders by the file, streamed. Its context has content types of its own. */
export const importRoutes: FastifyPluginAsyncTypebox = async (app) => {
  app.decorate('acceptedTypes', bodyTypes)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(bodyTypes, (_request, payload, done) => done(null, payload))

  app.post(
    '/orders/import',
    {
      config: { keepsTime: true, streamsBody: true, rechecks: true },
      schema: {
        ...may.write('orders:write'),
        summary: 'Import orders',
        description,
        tags: ['orders'],
        body: { content: Object.fromEntries(bodyTypes.map((type) => [type, { schema: {} }])) },
        response: {
          200: {
            description: 'What became of the lines.',
            content: {
              'application/json': { schema: Type.Ref(ImportReport) },
              'application/x-ndjson': { schema: {} },
            },
          },
          ...callerRefusals(
            'BAD_REQUEST',
            'NOT_ACCEPTABLE',
            'UNSUPPORTED_MEDIA_TYPE',
            'QUOTA_EXCEEDED',
            'SHUTTING_DOWN',
          ),
        } as never,
      },
    },
    async (request, reply) => {
      const type = acceptedType(request.headers.accept, answerTypes)
      const validate = request.compileValidationSchema({ $ref: 'ImportLine#' })
      const csv = request.headers['content-type']?.toLowerCase().startsWith('text/csv')
      const items = csv ? csvItems : ndjsonItems
      const chunks = chunksOf(request)
      const signal = app.longResponses.begin('import', request, reply as FastifyReply)
      const lines = readLines(chunks, { quoted: csv === true, timeout: limits.bodyTimeout, signal })
      const steps = app.orders.importOrders(request.orgId, items(lines, validate))
      request.raw.socket.setTimeout?.(limits.readerTimeout)
      reply.type(`${type}; charset=utf-8`)
      const report = type === 'application/json' ? jsonReport(steps, signal) : ndjsonReport(steps, signal)
      return reply.send(Readable.from(endingBody(report, request)) as never)
    },
  )
}

/** Does not destroy the body when reading ends early, which would take the answer's connection away. */
function chunksOf({ body, headers }: FastifyRequest): AsyncIterator<Buffer> {
  const charset = /;\s*charset="?([^";\s]*)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8'
  if (!body || !/^utf-?8$/i.test(charset)) {
    throw new OrdersError('UNSUPPORTED_MEDIA_TYPE', `Send ${bodyTypes.join(' or ')} in UTF-8.`)
  }
  return (body as Readable).iterator({ destroyOnReturn: false })
}

/** After an answer that came before the whole body, the sender has a moment to read it. */
async function* endingBody(report: AsyncGenerator<string>, { raw }: FastifyRequest) {
  try {
    yield* report
  } finally {
    if (!raw.complete) {
      raw.removeAllListeners('readable').resume()
      setTimeout(() => raw.complete || raw.socket.destroy(), lingerMs).unref()
    }
  }
}
