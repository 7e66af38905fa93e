import { randomUUID } from 'node:crypto'
import http from 'node:http'
import type { Role } from '@orders/schema'
import type { RouteRole } from '../../src/access/rules.ts'
import type { Service } from '../service.ts'
import type { Org, Person, World } from './world.ts'

export type Route = { method: string; path: string; roles: RouteRole[] }

const tenantTables = [
  ...['organisations', 'projects', 'users', 'memberships', 'orders', 'order_events', 'outbox', 'idempotency_records'],
  ...['webhooks', 'webhook_deliveries'],
]
const nothing = { id: randomUUID(), order: 'there-is-none' }
const evil = 'mark-of-an-intruder'

/** Every route of the OpenAPI document that not everybody may call. */
export function guardedRoutes({ server }: Service): Route[] {
  return Object.entries(server.swagger().paths ?? {}).flatMap(([path, operations]) =>
    Object.entries(operations as Record<string, { 'x-roles'?: RouteRole[] }>).flatMap(([method, operation]) => {
      const roles = operation['x-roles']
      if (!roles) throw new Error(`${method} ${path} declares no roles`)
      return roles.includes('anyone') ? [] : [{ method: method.toUpperCase(), path, roles }]
    }),
  )
}

/**
 * Lets random people call random routes with ids, cursors and organisations of each other, and now and then hang up.
 * Returns what was answered otherwise than the roles in OpenAPI say, or showed a mark of an organisation that the caller
 * does not belong to. Before `bareShare` of the attempts, it asks for rows without a tenant.
 */
export async function runMatrix(
  service: Service,
  world: World,
  { attempts, bareShare = 0.01 }: { attempts: number; bareShare?: number | undefined },
  random: () => number,
) {
  const routes = guardedRoutes(service)
  const wrong = new Set<string>()
  const tally = new Map<string, number>()
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
  let left = attempts

  async function attempt(): Promise<void> {
    if (random() < bareShare)
      for (const table of await bareRows(service)) wrong.add(`no tenant is set: shows rows of ${table}`)
    const route = pick(routes)
    const person = pick(world.people)
    const own = world.orgs.find(({ id }) => person.roles.has(id))
    const asked = own && random() < 0.5 ? own : pick(world.orgs)
    const home = [...person.roles.keys()][0] as string
    const header = pick([undefined, asked.id, asked.id, pick(world.orgs).id, nothing.id])
    const orgInPath = /^\/api\/v1\/orgs\/\{/.test(route.path)
    const acting = orgInPath ? pick([asked.id, asked.id, nothing.id]) : (header ?? home)
    const role = person.roles.get(acting)
    const foreign = pick([asked, pick(world.orgs)])
    const may = role !== undefined && (route.roles.includes('user') || route.roles.includes(role))
    // What is allowed leaves the world as it is, apart from marks of the organisation itself.
    const keeps = may && /members\/\{user_id\}$/.test(route.path) && route.method !== 'GET'
    const target = {
      order: pick([...foreign.orders, nothing.order]),
      project: pick([foreign.project, nothing.id]),
      webhook: may && route.method === 'DELETE' ? nothing.id : pick([foreign.webhook, nothing.id]),
      delivery: pick([foreign.delivery, nothing.id]),
      user: keeps ? nothing.id : pick([...foreign.people, person]).id,
    }
    const mark = may ? markOf(world, acting) : evil
    const request = build(route, acting, target, mark, foreign, random)
    const headers = { ...person.headers, ...request.headers, ...(header && { 'x-org-id': header }) }
    if (random() < 0.02) return hangUp(service, route.method, request.path, headers, request.body, random() * 3)

    const answer = await service.send(route.method, request.path, {
      headers,
      ...(request.body !== undefined && { body: request.body }),
    })
    const fault = faultIn(answer, { may, role, route, owned: ownedBy(world, acting, route, target) })
    const seen = world.orgs.find(({ id, mark }) => !person.roles.has(id) && answer.text.includes(mark))
    const what = `${person.name} ${route.method} ${route.path} in ${nameOf(world, acting)} for ${nameOf(world, foreign.id)}`
    if (fault) wrong.add(`${what}: ${answer.status} ${answer.json?.error ?? ''}, ${fault}`)
    if (seen) wrong.add(`${what}: shows ${seen.mark}`)
    const kind = role === undefined ? 'not there' : may ? 'may' : 'may not'
    tally.set(kind, (tally.get(kind) ?? 0) + 1)
  }

  const work = async () => {
    while (left-- > 0) await attempt()
  }
  await Promise.all(Array.from({ length: 8 }, work))
  return { wrong: [...wrong].sort(), tally }
}

/** Tables that show rows to a connection on which nobody has set a tenant. */
async function bareRows({ server }: Service): Promise<string[]> {
  const counts = tenantTables.map((table) => `SELECT '${table}' AS name WHERE EXISTS (SELECT FROM ${table})`)
  const text = counts.join(' UNION ALL ')
  const rows = await server.database.runGlobal<{ name: string }>({ name: 'bare_rows', text, values: [] })
  return rows.map(({ name }) => name)
}

type Target = { order: string; project: string; webhook: string; delivery: string; user: string }

function build(route: Route, acting: string, target: Target, mark: string, foreign: Org, random: () => number) {
  const isProject = route.path.includes('/projects/{id}')
  const path = route.path
    .replace('{org_id}', acting)
    .replace('/orgs/{id}', `/orgs/${acting}`)
    .replace('/webhooks/{id}', `/webhooks/${target.webhook}`)
    .replace('/deliveries/{id}', `/deliveries/${target.delivery}`)
    .replace('/dead-letters/{id}', `/dead-letters/${nothing.id}`)
    .replace('{user_id}', target.user)
    .replace('{id}', isProject ? target.project : target.order)
  if (route.method === 'GET') {
    const query =
      /(orders|orgs|projects|members|webhooks|deliveries|dead-letters)$/.test(route.path) && random() < 0.3
        ? `?cursor=${foreign.cursor}`
        : ''
    // A position that nobody has reached is refused to those who may listen: a stream would not end.
    if (path.endsWith('/stream')) return { path, headers: { 'last-event-id': '999999999999' }, body: undefined }
    return { path: /export$/.test(path) ? `${path}?format=ndjson` : `${path}${query}`, headers: {}, body: undefined }
  }
  if (route.path.endsWith('/import')) {
    const body = `${JSON.stringify({ id: `i-${Math.floor(random() * 50)}`, amount: 1, description: mark })}\n`
    return { path, headers: { 'content-type': 'application/x-ndjson' }, body }
  }
  const unique = randomUUID().slice(0, 8)
  const named = { name: mark, slug: route.method === 'PUT' && !isProject ? mark : unique }
  if (/\/(orgs|projects|orgs\/\{id\}|projects\/\{id\})$/.test(route.path))
    return { path, headers: {}, body: route.method === 'DELETE' ? undefined : named }
  if (route.path.endsWith('{user_id}'))
    return { path, headers: {}, body: route.method === 'DELETE' ? undefined : { role: 'owner' } }
  if (route.path.endsWith('/webhooks')) {
    return { path, headers: {}, body: { url: 'https://example.com', description: mark } }
  }
  if (route.method === 'PATCH') return { path, headers: { 'if-match': '*' }, body: { description: mark } }
  if (!route.path.endsWith('/orders')) return { path, headers: {}, body: undefined }
  const key = random() < 0.5 ? { 'idempotency-key': 'the-same-key-for-all-of-them' } : {}
  const project_id = random() < 0.3 ? { project_id: target.project } : {}
  return {
    path,
    headers: key,
    body: { id: random() < 0.5 ? 'same' : `n-${unique}`, amount: 1, description: mark, ...project_id },
  }
}

type Judged = { may: boolean; role: Role | undefined; route: Route; owned: boolean | undefined }
type Answered = { status: number; json: { error?: string } | undefined }

/** What is wrong with an answer; `owned` says whether what the path names is in the organisation. */
function faultIn({ status, json }: Answered, { may, role, route, owned }: Judged): string | undefined {
  // A user has one export at a time, and a process has fewer than connections.
  const isLimited = status === 429 || (status === 503 && json?.error === 'OVERLOADED')
  if (isLimited && route.path.endsWith('/export')) return undefined
  if (status >= 500) return 'a failure'
  if (role === undefined)
    return status === 404 && json?.error === 'ORG_NOT_FOUND'
      ? undefined
      : 'the organisation is not there for the caller'
  if (!may) return status === 403 && json?.error === 'ROLE_REQUIRED' ? undefined : `${role} is not among ${route.roles}`
  // A quota is checked after the access.
  const isDenied = status === 401 || (status === 403 && json?.error !== 'QUOTA_EXCEEDED')
  if (isDenied) return `${role} is among ${route.roles}`
  if (owned === false && status !== 404) return 'it is not there'
  if (owned === true && status === 404) return 'it is there'
  return undefined
}

function ownedBy(world: World, acting: string, { path }: Route, target: Target): boolean | undefined {
  const org = world.orgs.find(({ id }) => id === acting)
  if (path.includes('/projects/{id}')) return org?.project === target.project
  if (path.includes('/webhooks/{id}')) return org?.webhook === target.webhook
  if (path.includes('/deliveries/{id}')) return org?.delivery === target.delivery
  if (path.includes('/dead-letters/{id}')) return false
  // At home, people place orders of the same id.
  if (path.includes('/orders/{id}'))
    return org || target.order !== 'same' ? org?.orders.includes(target.order) === true : undefined
  if (path.includes('{user_id}')) return org?.people.some(({ id }) => id === target.user) ?? false
  return undefined
}

const nameOf = ({ orgs }: World, id: string) => orgs.find((org) => org.id === id)?.mark ?? 'another organisation'
const markOf = (world: World, id: string) =>
  world.orgs.some((org) => org.id === id) ? nameOf(world, id) : 'mark-of-a-home'

/** Sends a request and leaves before, while or after it is worked on. */
function hangUp(
  service: Service,
  method: string,
  path: string,
  headers: object,
  body: unknown,
  afterMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    const isData = typeof body === 'object'
    const payload = isData ? JSON.stringify(body) : (body as string | undefined)
    const all = { ...(isData && { 'content-type': 'application/json' }), ...headers } as http.OutgoingHttpHeaders
    const request = http.request({ port: service.port, host: '127.0.0.1', method, path, headers: all })
    request.on('error', () => {})
    request.on('close', () => resolve())
    request.on('response', (response) => response.resume().on('error', () => {}))
    request.end(payload)
    setTimeout(() => request.destroy(), afterMs)
  })
}

/** Rows of organisations that hold a mark of another one, or an intruder's. */
export const misplaced = (world: World) => ({
  text: `SELECT 'order ' || o.id AS row FROM orders o JOIN unnest($1::uuid[], $2::text[]) AS own (org_id, mark) USING (org_id)
      WHERE o.description <> own.mark
    UNION ALL SELECT 'event of ' || order_number FROM order_events e JOIN unnest($1::uuid[], $2::text[]) AS own (org_id, mark) USING (org_id)
      WHERE e.description <> own.mark
    UNION ALL SELECT 'project ' || p.id FROM projects p JOIN unnest($1::uuid[], $2::text[]) AS own (org_id, mark) USING (org_id)
      WHERE p.name <> own.mark
    UNION ALL SELECT 'organisation ' || o.name FROM organisations o JOIN unnest($1::uuid[], $2::text[]) AS own (org_id, mark) ON own.org_id = o.id
      WHERE o.name <> own.mark
    UNION ALL SELECT 'webhook ' || w.id FROM webhooks w JOIN unnest($1::uuid[], $2::text[]) AS own (org_id, mark) USING (org_id)
      WHERE w.description <> own.mark
    UNION ALL SELECT 'intruder in organisations' FROM organisations WHERE name = '${evil}'
    UNION ALL SELECT 'member ' || user_id FROM memberships m WHERE org_id = ANY ($1) AND user_id <> ALL ($3)`,
  values: [
    world.orgs.map(({ id }) => id),
    world.orgs.map(({ mark }) => mark),
    world.orgs.flatMap(({ people }: { people: Person[] }) => people.map(({ id }) => id)),
  ],
})
