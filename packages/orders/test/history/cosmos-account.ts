import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Agent, createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import type { Test } from 'tap'
import { createCertificate } from './certificate.ts'

type Item = Record<string, unknown> & { id: string; _etag: string }
type Answer = { status: number; headers?: Record<string, string>; body?: unknown }
type Query = { query: string; parameters?: { name: string; value: unknown }[] }

const token = 'a token'
const container = '/dbs/orders/colls/order-events'
const largestPage = 100
const largestItem = 2 * 1024 * 1024

/**
 * Stands in for a Cosmos DB account with the database `orders` and its container: the part of the REST protocol that the
 * client needs to upsert items and to query one partition, as Microsoft documents it. It refuses what the service refuses,
 * and what it does not know. It is no emulator, and proves nothing about Azure.
 */
export async function startCosmosAccount(t: Test) {
  const partitions = new Map<string, Map<string, Item>>()
  const planned: (Answer | 'silence')[] = []
  const requests: string[] = []
  const { cert, key } = await createCertificate()
  const server = createServer({ cert, key }, async (request, response) => {
    const body = request.method === 'POST' ? await json(request) : undefined
    const kind = kindOf(request)
    requests.push(kind)
    const plan = kind === 'upsert' || kind === 'query' ? planned.shift() : undefined
    if (plan === 'silence') return
    const { status, headers, body: answer } = plan ?? answerTo(kind, request, body)
    response.writeHead(status, { 'content-type': 'application/json', 'x-ms-activity-id': 'none', ...headers })
    response.end(JSON.stringify(answer ?? { code: String(status), message: `planned ${status}` }))
  })
  const agent = new Agent({ ca: cert, keepAlive: true })
  const stop = async () => {
    server.closeAllConnections()
    agent.destroy()
    await new Promise((resolve) => server.close(resolve))
  }
  const start = async (port = 0) => {
    server.listen(port, 'localhost')
    await once(server, 'listening')
  }
  await start()
  t.teardown(stop)
  const { port } = server.address() as AddressInfo

  function answerTo(kind: string, request: IncomingMessage, body: unknown): Answer {
    if (request.headers.authorization !== `type=aad&ver=1.0&sig=${token}`) return refusal(401, 'Unauthorized')
    if (kind === 'container') {
      return {
        status: 200,
        body: { id: 'order-events', partitionKey: { paths: ['/org_id'], kind: 'Hash', version: 2 } },
      }
    }
    if (kind === 'plan') return { status: 200, body: { queryInfo: {}, queryRanges: [] } }
    const partition = partitionOf(request)
    if (kind === 'query' && partition) return query(itemsIn(partitions, partition), body as Query, request)
    if ((kind === 'upsert' || kind === 'create') && partition) {
      return write(itemsIn(partitions, partition), partition, body as Item, request, kind === 'upsert')
    }
    return partition ? refusal(404, `unknown here: ${request.url}`) : refusal(400, 'PartitionKey header is missing.')
  }

  return {
    settings: {
      endpoint: `https://localhost:${port}/`,
      database: 'orders',
      credential: { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3_600_000 }) },
      agent,
    },
    /** What was asked, in turn: container, plan, query, upsert, create. */
    requests,
    /** What the next upserts and queries get instead of their answer. */
    plan: (...answers: (Answer | 'silence')[]) => void planned.push(...answers),
    lose: (org: string, id: string) => partitions.get(org)?.delete(id),
    stop,
    restart: () => start(port),
  }
}

function kindOf({ method, url, headers }: IncomingMessage): string {
  if (method === 'GET' && url === container) return 'container'
  if (method !== 'POST' || url !== `${container}/docs`) return 'unknown'
  if (headers['x-ms-cosmos-is-query-plan-request']) return 'plan'
  if (headers['x-ms-documentdb-isquery']) return 'query'
  return headers['x-ms-documentdb-is-upsert'] ? 'upsert' : 'create'
}

function partitionOf({ headers }: IncomingMessage): string | undefined {
  const [key] = JSON.parse((headers['x-ms-documentdb-partitionkey'] as string) ?? '[]')
  return typeof key === 'string' ? key : undefined
}

function itemsIn(partitions: Map<string, Map<string, Item>>, key: string): Map<string, Item> {
  const items = partitions.get(key) ?? new Map()
  partitions.set(key, items)
  return items
}

function write(
  items: Map<string, Item>,
  key: string,
  item: Item,
  { headers }: IncomingMessage,
  upsert: boolean,
): Answer {
  if (typeof item.id !== 'string' || /^$|[/\\?#]/.test(item.id)) return refusal(400, 'The id has illegal characters.')
  if (Buffer.byteLength(item.id) > 1023) return refusal(400, 'The id is too long.')
  if (item.org_id !== key) return refusal(400, 'PartitionKey of the item does not match the header.')
  if (JSON.stringify(item).length > largestItem) return refusal(413, 'Request size is too large')
  const before = items.get(item.id)
  if (before && !upsert) return refusal(409, 'Entity with the specified id already exists in the system.')
  if (before && headers['if-match'] && headers['if-match'] !== before._etag) return refusal(412, 'Precondition failed')
  const stored = {
    ...item,
    _etag: String(Number(before?._etag ?? 0) + 1),
    _rid: 'r',
    _self: 's',
    _attachments: 'a/',
    _ts: 1,
  }
  items.set(item.id, stored)
  return { status: before ? 200 : 201, body: stored }
}

const grammar = /^SELECT \* FROM c WHERE (c\.\w+ (?:=|>) @\w+(?: AND c\.\w+ (?:=|>) @\w+)*) ORDER BY c\.(\w+)$/

function query(items: Map<string, Item>, { query, parameters = [] }: Query, { headers }: IncomingMessage): Answer {
  const [, where = '', order = ''] = grammar.exec(query) ?? []
  const conditions = where.split(' AND ').map((condition) => {
    const [, field = '', operator, name] = /^c\.(\w+) (=|>) (@\w+)$/.exec(condition) ?? []
    return { field, operator, given: parameters.find((parameter) => parameter.name === name)?.value }
  })
  if (conditions.some(({ given }) => given === undefined)) return refusal(400, `Syntax error: ${query}`)
  const found = [...items.values()]
    .filter((item) =>
      conditions.every(({ field, operator, given }) =>
        operator === '=' ? item[field] === given : Number(item[field]) > Number(given),
      ),
    )
    .sort((a, b) => Number(a[order]) - Number(b[order]))
  // The first page is empty, which the service may do too.
  const from = headers['x-ms-continuation'] === undefined ? -1 : Number(headers['x-ms-continuation'])
  const size = Math.min(Number(headers['x-ms-max-item-count']), largestPage)
  const to = from === -1 ? 0 : from + size
  return {
    status: 200,
    headers: to < found.length ? { 'x-ms-continuation': String(to) } : {},
    body: { Documents: found.slice(Math.max(from, 0), to), _count: Math.max(0, to - from) },
  }
}

const refusal = (status: number, message: string): Answer => ({ status, body: { code: String(status), message } })
