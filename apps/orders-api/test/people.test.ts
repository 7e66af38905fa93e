import { randomUUID } from 'node:crypto'
import pg from 'pg'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const service = await startService(t, { GUEST_KEYS })
const { send } = service
const admin = new pg.Client({ connectionString: service.url })
await admin.connect()
t.teardown(() => admin.end())

type Guest = Awaited<ReturnType<typeof signIn>>

async function signIn() {
  const { status, json } = await send('POST', '/api/v1/auth/guest')
  if (status !== 201) throw new Error(`${status} ${JSON.stringify(json)}`)
  const headers = { authorization: `Bearer ${json.access_token}` }
  const call = (method: string, path: string, body?: object, org?: string) =>
    send(method, path, { headers: { ...headers, ...(org && { 'x-org-id': org }) }, ...(body && { body }) })
  return { id: json.user.id as string, org: json.org.id as string, headers, call }
}

/** What the other process of a change does not wait for: its news. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const giveUpAt = Date.now() + 5000; !(await condition()); )
    if (Date.now() > giveUpAt) throw new Error('not within 5 s')
}

t.test('the life of a tenant', async (t) => {
  const [mine, other] = [await signIn(), await signIn()]
  const org = (await mine.call('POST', '/api/v1/orgs', { name: 'Lamps', slug: 'lamps' })).json
  t.match(org, { name: 'Lamps', slug: 'lamps' })
  const project = (await mine.call('POST', `/api/v1/orgs/${org.id}/projects`, { name: 'Shop', slug: 'shop' })).json
  t.match(project, { org_id: org.id, slug: 'shop' })
  const order = { id: 'order-1', amount: 12.5, project_id: project.id }
  const placed = await mine.call('POST', '/api/v1/orders', order, org.id)
  t.match(placed, { status: 201, json: { org_id: org.id, project_id: project.id } })
  t.same((await mine.call('GET', `/api/v1/orders?project_id=${project.id}`, undefined, org.id)).json.data, [
    placed.json,
  ])
  t.same((await mine.call('GET', '/api/v1/orders')).json.data, [], 'it is not at home')

  const look = () => other.call('GET', '/api/v1/orders/order-1', undefined, org.id)
  t.match(await look(), { status: 404, json: { error: 'ORG_NOT_FOUND' } })
  t.match(await other.call('GET', `/api/v1/orgs/${org.id}`), { status: 404 })
  const member = `/api/v1/orgs/${org.id}/members/${other.id}`
  t.match(await other.call('PUT', member, { role: 'owner' }), { status: 404, json: { error: 'ORG_NOT_FOUND' } })
  t.match(await mine.call('PUT', member, { role: 'viewer' }), {
    status: 201,
    json: { user_id: other.id, role: 'viewer' },
  })
  t.match(await look(), { status: 200, json: { id: 'order-1' } })
  const place = () => other.call('POST', '/api/v1/orders', { amount: 1 }, org.id)
  t.match(await place(), { status: 403, json: { error: 'ROLE_REQUIRED' } })
  t.match(await mine.call('PUT', member, { role: 'member' }), { status: 200, json: { role: 'member' } })
  t.match(await place(), { status: 201 })
  t.match((await other.call('GET', '/api/v1/me', undefined, org.id)).json, { org_id: org.id, role: 'member' })

  t.match(await mine.call('DELETE', member), { status: 204 })
  t.match(
    await look(),
    { status: 404, json: { error: 'ORG_NOT_FOUND' } },
    'what it had remembered is forgotten at once',
  )
  t.match(await mine.call('DELETE', `/api/v1/orgs/${org.id}`), { status: 409, json: { error: 'ORG_IN_USE' } })
  t.match(await mine.call('DELETE', `/api/v1/projects/${project.id}`, undefined, org.id), {
    status: 409,
    json: { error: 'PROJECT_IN_USE' },
  })
})

t.test('once it is answered that a member is out, it is out', async (t) => {
  const [mine, other] = [await signIn(), await signIn()]
  const late: number[] = []
  for (let turn = 0; turn < 100; turn++) {
    const member = `/api/v1/orgs/${mine.org}/members/${other.id}`
    await mine.call('PUT', member, { role: 'member' })
    const { status: inside } = await other.call('GET', '/api/v1/orders', undefined, mine.org)
    await mine.call('DELETE', member)
    const { status: outside } = await other.call('GET', '/api/v1/orders', undefined, mine.org)
    if (inside !== 200 || outside !== 404) late.push(turn)
  }
  t.strictSame(late, [])
})

t.test('without a token: a member of default, and nobody who could own', async (t) => {
  t.match(await send('POST', '/orders', { body: { amount: 1 } }), { status: 201 })
  t.match(await send('GET', '/api/v1/me'), { status: 200, json: { user: null, role: 'member', organisations: [] } })
  t.match(await send('GET', '/api/v1/orders', { headers: { 'x-org-id': randomUUID() } }), { status: 404 })
  for (const [method, path] of [
    ['POST', '/api/v1/orgs'],
    ['GET', '/api/v1/orgs'],
  ] as const) {
    const { status, json, headers } = await send(
      method,
      path,
      method === 'POST' ? { body: { name: 'x', slug: 'x' } } : {},
    )
    t.match({ status, json }, { status: 401, json: { error: 'UNAUTHENTICATED' } })
    t.match(headers['www-authenticate'], /^Bearer/)
  }
})

t.test('a revoked token stops at once, and the same number of another user does not', async (t) => {
  const guest: Guest = await signIn()
  t.match(await guest.call('GET', '/api/v1/me'), { status: 200 })
  const claims = JSON.parse(Buffer.from(guest.headers.authorization.split('.')[1] ?? '', 'base64url').toString())
  const revoke = (user: string) =>
    admin.query("INSERT INTO revoked_tokens VALUES ($1, $2, now() + interval '1 day')", [user, claims.jti])
  await revoke(randomUUID())
  t.match(await guest.call('GET', '/api/v1/me'), { status: 200 })
  await revoke(guest.id)
  await until(async () => (await guest.call('GET', '/api/v1/me')).status === 401)
  t.match(await guest.call('GET', '/api/v1/me'), { status: 401, json: { error: 'UNAUTHENTICATED' } })
})

t.test('idempotency keys and order ids of two organisations never meet', async (t) => {
  const [one, two] = [await signIn(), await signIn()]
  const key = { 'idempotency-key': randomUUID() }
  const place = (guest: Guest, amount: number) =>
    send('POST', '/api/v1/orders', { headers: { ...guest.headers, ...key }, body: { id: 'same', amount } })
  t.match(await place(one, 1), { status: 201, json: { org_id: one.org } })
  t.match(await place(two, 2), { status: 201, json: { org_id: two.org, amount: 2 } })
  const { headers, json } = await place(one, 1)
  t.match({ headers, json }, { headers: { 'idempotency-replayed': 'true' }, json: { org_id: one.org, amount: 1 } })
})

t.test('without keys there are no guests', async (t) => {
  const { send } = await startService(t)
  t.match(await send('POST', '/api/v1/auth/guest'), { status: 404, json: { error: 'NOT_FOUND' } })
  t.match(await send('GET', '/api/v1/me', { headers: { authorization: 'Bearer x.y.z' } }), { status: 401 })
})
