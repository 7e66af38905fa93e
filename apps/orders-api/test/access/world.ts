import { randomUUID } from 'node:crypto'
import type { Role } from '@orders/schema'
import type { Service } from '../service.ts'

/** A user, and what the user is in which organisation. */
export type Person = { name: string; id: string; headers: { authorization: string }; roles: Map<string, Role> }

/** An organisation with something of each kind in it. `mark` stands in everything of it that can hold a text. */
export type Org = {
  id: string
  mark: string
  orders: string[]
  project: string
  webhook: string
  delivery: string
  cursor: string
  people: Person[]
}

export type World = { orgs: Org[]; people: Person[] }

const roles: Role[] = ['owner', 'member', 'viewer']

async function signIn({ send }: Service, name: string): Promise<Person> {
  const { json } = await send('POST', '/api/v1/auth/guest')
  const headers = { authorization: `Bearer ${json.access_token}` }
  return { name, id: json.user.id, headers, roles: new Map([[json.org.id as string, 'owner']]) }
}

/** Three organisations, whose ids of orders partly are the same, with one of each role, and a stranger to all. */
export async function makeWorld(service: Service): Promise<World> {
  const orgs: Org[] = []
  for (const mark of ['mark-red', 'mark-green', 'mark-blue']) orgs.push(await makeOrg(service, mark))
  const people = [...orgs.flatMap((org) => org.people), await signIn(service, 'a stranger')]
  return { orgs, people }
}

async function makeOrg(service: Service, mark: string): Promise<Org> {
  const people: Person[] = []
  for (const role of roles) people.push(await signIn(service, `${role} of ${mark}`))
  const [owner] = people as [Person]
  const call = async (method: string, path: string, body?: object, headers = {}) => {
    const { status, json } = await service.send(method, `/api/v1${path}`, {
      headers: { ...owner.headers, ...headers },
      ...(body && { body }),
    })
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(json)}`)
    return json
  }
  const { id } = await call('POST', '/orgs', { name: mark, slug: mark })
  const here = { 'x-org-id': id }
  for (const [i, person] of people.entries()) {
    const role = roles[i] as Role
    if (person !== owner) await call('PUT', `/orgs/${id}/members/${person.id}`, { role })
    person.roles.set(id, role)
  }
  const { id: project } = await call('POST', `/orgs/${id}/projects`, { name: mark, slug: 'same' })
  const { id: webhook } = await call('POST', '/webhooks', { url: 'https://example.com', description: mark }, here)
  const { id: delivery } = await call('POST', `/webhooks/${webhook}/test`, undefined, here)
  const orders = ['same', `only-${randomUUID()}`]
  for (const order of orders) {
    const content = { id: order, amount: 1, project_id: project, description: mark, metadata: { mark } }
    await call('POST', '/orders', content, { ...here, 'idempotency-key': 'the-same-key-for-all-of-them' }).catch(() =>
      call('POST', '/orders', content, here),
    )
  }
  const { next_cursor } = await call('GET', '/orders?limit=1', undefined, here)
  return { id, mark, orders, project, webhook, delivery, cursor: next_cursor, people }
}
