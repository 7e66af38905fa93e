import pg from 'pg'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { startService } from './service.ts'

const service = await startService(t, { GUEST_KEYS: await newGuestKeys('test-key'), AUTH_MODE: 'required' })
const admin = new pg.Client({ connectionString: service.url })
await admin.connect()
t.teardown(() => admin.end())

async function signIn() {
  const { json } = await service.send('POST', '/api/v1/auth/guest')
  const authorization = `Bearer ${json.access_token}`
  const call = (method: string, path: string, body?: object, more = {}) =>
    service.send(method, `/api/v1${path}`, { headers: { authorization, ...more }, ...(body && { body }) })
  return { id: json.user.id as string, home: json.org.id as string, call }
}

t.test('refuses to remove a user from the only organisation that the user has', async (t) => {
  const [host, guest] = [await signIn(), await signIn()]
  await host.call('PUT', `/orgs/${host.home}/members/${guest.id}`, { role: 'owner' })
  const remove = () => guest.call('DELETE', `/orgs/${host.home}/members/${host.id}`, undefined)
  t.match(await remove(), { status: 409, json: { error: 'LAST_MEMBERSHIP' } })
  t.match(await host.call('GET', '/orders'), { status: 200 }, 'nothing was changed')

  const other = (await host.call('POST', '/orgs', { name: 'Other', slug: `other-${host.home}` })).json
  t.match(await remove(), { status: 204 })
  t.match(await host.call('GET', '/me'), { status: 200, json: { org_id: other.id, role: 'owner' } })
  t.match((await host.call('GET', '/orgs')).json, { data: [{ id: other.id }] })
  t.match(await host.call('GET', '/orders'), { status: 404, json: { error: 'ORG_NOT_FOUND' } })
  t.match(await host.call('POST', '/orders', { amount: 1 }), { status: 404, json: { error: 'ORG_NOT_FOUND' } })
  t.match(await host.call('POST', '/orders', { amount: 1 }, { 'x-org-id': other.id }), {
    status: 201,
    json: { org_id: other.id },
  })
  t.match(await host.call('GET', '/orders', undefined, { 'x-org-id': host.home }), { status: 404 })
  t.match(await host.call('GET', `/orgs/${host.home}`), { status: 404 }, 'it has left')
})

t.test('refuses to delete the only organisation that a member has', async (t) => {
  const [host, guest] = [await signIn(), await signIn()]
  const org = (await guest.call('POST', '/orgs', { name: 'Shared', slug: `shared-${guest.home}` })).json
  await guest.call('PUT', `/orgs/${org.id}/members/${host.id}`, { role: 'member' })
  await host.call('PUT', `/orgs/${host.home}/members/${guest.id}`, { role: 'owner' })
  t.match(await guest.call('DELETE', `/orgs/${host.home}/members/${host.id}`), { status: 204 })
  t.match(await guest.call('DELETE', `/orgs/${org.id}`), { status: 409, json: { error: 'ORG_IN_USE' } })
  t.match(await host.call('GET', '/me'), { status: 200, json: { org_id: org.id, role: 'member' } })
  t.match(await guest.call('DELETE', `/orgs/${org.id}/members/${host.id}`), { status: 409 })
})

t.test('of two removals at once, one leaves the user an organisation', async (t) => {
  for (let round = 0; round < 10; round++) {
    const [host, guest] = [await signIn(), await signIn()]
    const org = (await guest.call('POST', '/orgs', { name: 'Shared', slug: `round-${round}` })).json
    await guest.call('PUT', `/orgs/${org.id}/members/${host.id}`, { role: 'member' })
    await host.call('PUT', `/orgs/${host.home}/members/${guest.id}`, { role: 'owner' })
    const removals = [host.home, org.id].map((id) => guest.call('DELETE', `/orgs/${id}/members/${host.id}`))
    const statuses = (await Promise.all(removals)).map(({ status }) => status)
    t.same(statuses.sort(), [204, 409])
  }
})

t.test('a user without an organisation reads the own account and creates an organisation', async (t) => {
  const { id, home, call } = await signIn()
  await admin.query('DELETE FROM memberships WHERE user_id = $1', [id])
  t.match(await call('GET', '/orders', undefined, { 'x-org-id': home }), { status: 404 })
  t.match(await call('GET', '/me'), {
    status: 200,
    json: { user: { id }, org_id: null, role: null, organisations: [] },
  })
  t.match(await call('GET', '/orgs'), { status: 200, json: { data: [] } })
  t.match(await call('GET', '/orders'), { status: 404, json: { error: 'ORG_NOT_FOUND' } })
  t.match(await call('GET', `/orgs/${home}`), { status: 404, json: { error: 'ORG_NOT_FOUND' } })
  t.match(await call('GET', '/me', undefined, { 'x-org-id': home }), { status: 404 })

  const key = { 'idempotency-key': `create-${id}` }
  const create = () => call('POST', '/orgs', { name: 'New', slug: `new-${id}` }, key)
  const created = await create()
  t.equal(created.status, 201)
  t.match(await create(), { status: 201, json: { id: created.json.id }, headers: { 'idempotency-replayed': 'true' } })
  t.match(await call('GET', '/me'), { status: 200, json: { org_id: created.json.id, role: 'owner' } })
  t.match(await call('POST', '/orders', { amount: 1 }), { status: 404, json: { error: 'ORG_NOT_FOUND' } })
  t.match(await call('POST', '/orders', { amount: 1 }, { 'x-org-id': created.json.id }), {
    status: 201,
    json: { org_id: created.json.id },
  })
})
