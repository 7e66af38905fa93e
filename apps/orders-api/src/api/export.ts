import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type OrderRow, orderColumns, toOrder, toRfc3339 } from '@orders/orders'
import { type Order, OrderFilter } from '@orders/schema'
import { Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { may } from '../access/rules.ts'
import { limits } from '../limits.ts'
import { formatRecord, neutralise, neutraliseJson } from './csv.ts'
import { filterOf } from './filter.ts'
import { callerRefusals } from './refusals.ts'

type Column = (typeof orderColumns)[number]

const importColumns = ['id', 'amount', 'currency', 'project_id', 'description', 'metadata'] as const
const types = { csv: 'text/csv; charset=utf-8; header=present', ndjson: 'application/x-ndjson; charset=utf-8' }

const OneOf = <const T extends string>(values: readonly T[], options: object) =>
  Type.Unsafe<T>({ type: 'string', enum: [...values], ...options })

const ExportQuery = Type.Object(
  {
    ...OrderFilter.properties,
    format: OneOf(['csv', 'ndjson'], {}),
    fields: OneOf(['all', 'import'], {
      default: 'all',
      description: '`import` leaves the fields that an import takes, so that the file can be imported elsewhere.',
    }),
  },
  { additionalProperties: false },
)

const description = `All orders that the filters let through, newest first, streamed from one snapshot.

- \`ndjson\`: an order a line, as \`GET /orders/{id}\` shows it.
- \`csv\` (RFC 4180, UTF-8): the first line names the columns, amounts are exact decimals, \`metadata\` is JSON, no value \
is an empty cell and an empty text is \`""\`. Where a text would start a formula of a spreadsheet (= + - or @ at its start or \
after , ; | tab or a line break, also behind quotes), a quote (') stands before it, which an import takes away again. In \`metadata\`, the \
character is escaped (\`\\u003d\`).

With \`fields=import\`, either file is what \`POST /orders/import\` takes; status, times and versions stay behind. \
\`RATE_LIMITED\` states how many exports a user and an organisation may have at a time. The server cuts off a client that \
reads less than 16 KiB a second for 30 seconds, or whose access ends. A response that breaks off is not complete.`

/** Gives orders by the file, streamed. */
export const exportRoutes: FastifyPluginAsyncTypebox = async (app) => {
  const access = may.read('orders:read')
  app.head(
    '/orders/export',
    { schema: { ...access, hide: true, querystring: ExportQuery } },
    async (request, reply) => {
      filterOf(request.query)
      return describeFile(reply as FastifyReply, request.query.format).send()
    },
  )

  app.get(
    '/orders/export',
    {
      config: { keepsTime: true, rechecks: true },
      exposeHeadRoute: false,
      schema: {
        ...access,
        summary: 'Export orders',
        description,
        tags: ['orders'],
        querystring: ExportQuery,
        response: {
          200: {
            description: 'A file of orders.',
            content: { 'text/csv': { schema: {} }, 'application/x-ndjson': { schema: {} } },
          },
          ...callerRefusals(),
        } as never,
      },
    },
    async (request, reply) => {
      const { format, fields } = request.query
      const columns = fields === 'import' ? importColumns : orderColumns
      const text = format === 'csv' ? csvText(columns) : ndjsonText(columns)
      const ending = app.longResponses.begin('export', request, reply as FastifyReply)
      ending.throwIfAborted()
      const file = createFile(request, ending)
      const exporting = app.orders.exportOrders(request.orgId, filterOf(request.query), (rows) =>
        file.write(text(rows)),
      )
      exporting.then(file.end, file.fail)
      request.raw.socket.setTimeout?.(limits.readerTimeout)
      return describeFile(reply as FastifyReply, format).send(file.stream)
    },
  )
}

const describeFile = (reply: FastifyReply, format: keyof typeof types) =>
  reply.type(types[format]).header('content-disposition', `attachment; filename="orders.${format}"`)

/** Bytes that are written at once, so that the progress of a slow client shows. */
const pieceBytes = 65_536

/** A stream to write into at its reader's pace. Writing fails once the reader is gone, or the signal ends it. */
function createFile({ raw }: FastifyRequest, ending: AbortSignal) {
  const stream = new PassThrough()
  const gone = new AbortController()
  const leave = () => gone.abort(new Error('the reader is gone'))
  const { socket } = raw
  socket.once('close', leave)
  ending.addEventListener('abort', () => stream.destroy(ending.reason))
  stream.once('close', () => {
    socket.off('close', leave) // the connection goes on to other requests
    leave()
  })
  return {
    stream,
    async write(text: string) {
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length; at += pieceBytes) {
        gone.signal.throwIfAborted()
        if (stream.write(bytes.subarray(at, at + pieceBytes))) continue
        await once(stream, 'drain', { signal: gone.signal })
      }
      gone.signal.throwIfAborted()
    },
    end: () => {
      stream.end()
    },
    fail: (error: Error) => {
      stream.destroy(error)
    },
  }
}

function ndjsonText(columns: readonly Column[]): (rows: OrderRow[]) => string {
  // Not JSON.stringify's list of keys: that would empty the metadata too.
  const part = (order: Order) => Object.fromEntries(columns.map((column) => [column, order[column]]))
  const shape = columns === orderColumns ? (order: Order) => order : part
  return (rows) => rows.map((row) => `${JSON.stringify(shape(toOrder(row)))}\n`).join('')
}

function csvText(columns: readonly Column[]): (rows: OrderRow[]) => string {
  let header = formatRecord([...columns])
  return (rows) => {
    const text = header + rows.map((row) => formatRecord(columns.map((column) => cellOf(row, column)))).join('')
    header = ''
    return text
  }
}

function cellOf(row: OrderRow, column: Column): string | null {
  if (column === 'metadata') return neutraliseJson(JSON.stringify(row.metadata))
  if (column === 'created_at' || column === 'updated_at') return toRfc3339(row[column])
  const value = row[column]
  return value === null ? null : neutralise(String(value))
}
