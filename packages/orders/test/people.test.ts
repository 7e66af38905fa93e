import { randomUUID } from 'node:crypto'
import type { NameAndSlug } from '@orders/schema'
import t, { type Test } from 'tap'
import type { Made } from '../src/once.ts'
import { createPeople } from '../src/people.ts'
import { claimOf, openOrders, outcomeOf, rowsOf, startOrders, until } from './service.ts'

const page = { limit: 50 }

async function startPeople(t: Test) {
  const service = await startOrders(t)
  const people = await createPeople(service.database)
  const made = <T>(result: Made<T>): T => {
    if (result.replayed) throw new Error('it was replayed')
    return result.made
  }
  const newOrg = async ({ user, org }: { user: { id: string }; org: { id: string } }, named: NameAndSlug) =>
    made(await people.createOrg({ userId: user.id, orgId: org.id }, named))
  const newProject = async (org: string, named: NameAndSlug) => made(await people.createProject(org, named))
  return { ...service, people, newOrg, newProject }
}

t.test('a guest has a number for a name, and a home of its own', async (t) => {
  const { people } = await startPeople(t)
  const first = await people.signUpGuest()
  const second = await people.signUpGuest()
  t.match(first, { user: { name: 'guest-0001' }, org: { name: 'guest-0001', slug: 'guest-0001' } })
  t.equal(second.user.name, 'guest-0002')
  const { user, org } = first
  t.strictSame(await people.findAccess(user.id, undefined, 'jti'), {
    user,
    orgId: org.id,
    role: 'owner',
    homeOrgId: org.id,
  })
  t.equal(await people.findAccess(user.id, second.org.id, 'jti'), 'elsewhere')
  t.equal(await people.findAccess(user.id, randomUUID(), 'jti'), 'elsewhere')
  t.equal(await people.findAccess(randomUUID(), undefined, 'jti'), 'unknown')
  t.strictSame(await people.ownOrgs(user.id), [{ ...org, role: 'owner' }])
})

t.test('a user whom an issuer vouches for is made once, with a home', async (t) => {
  const { people } = await startPeople(t)
  const user = { id: randomUUID(), name: 'Ada' }
  await Promise.all([people.signUpUser(user), people.signUpUser(user)])
  await people.signUpUser({ ...user, name: 'Other' })
  t.match(await people.findAccess(user.id, undefined, 'jti'), { user, role: 'owner' })
  t.match(await people.ownOrgs(user.id), [{ name: 'Ada', slug: `home-${user.id}` }])
})

t.test('a token that was revoked names nobody', async (t) => {
  const { people, admin } = await startPeople(t)
  const { user } = await people.signUpGuest()
  await admin.query("INSERT INTO revoked_tokens VALUES ($1, 'gone', now() + interval '1 day')", [user.id])
  t.equal(await people.findAccess(user.id, undefined, 'gone'), 'revoked')
  t.match(await people.findAccess(user.id, undefined, 'other'), { role: 'owner' })
})

t.test('organisations: made, read, named anew, deleted', async (t) => {
  const { people, orders, newOrg, newProject } = await startPeople(t)
  const { user, org: home } = await people.signUpGuest()
  const org = await newOrg({ user, org: home }, { name: 'Lamps', slug: 'lamps' })
  t.match(org.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  t.strictSame(await people.getOrg(org.id), org)
  t.strictSame(
    (await people.listOrgs(user.id, page)).data.map(({ slug }) => slug),
    ['lamps', 'guest-0001'],
  )
  t.match(await people.replaceOrg(org.id, { name: 'Lamps & co', slug: 'lamps' }), { name: 'Lamps & co', slug: 'lamps' })

  for (const slug of ['', '-a', 'A', 'ä', 'a b', 'a'.repeat(64), 'guest-0009']) {
    await t.rejects(newOrg({ user, org: home }, { name: 'x', slug }), { code: 'INVALID_ORG_SLUG' }, slug)
    await t.rejects(people.replaceOrg(org.id, { name: 'x', slug }), { code: 'INVALID_ORG_SLUG' }, slug)
  }
  await t.rejects(newOrg({ user, org: home }, { name: 'x', slug: 'lamps' }), { code: 'SLUG_TAKEN' })
  await t.rejects(people.replaceOrg(home.id, { name: 'x', slug: 'lamps' }), { code: 'SLUG_TAKEN' })
  t.match(await people.replaceOrg(home.id, { name: 'Home', slug: home.slug }), { name: 'Home' }, 'keeps its slug')

  await newProject(org.id, { name: 'p', slug: 'p' })
  await orders.placeOrder(org.id, { id: 'a', amount: 1 })
  await t.rejects(people.removeOrg(org.id), { code: 'ORG_IN_USE' })
  await t.rejects(people.removeOrg(home.id), { code: 'ORG_IN_USE' })
  const empty = await newOrg({ user, org: home }, { name: 'Empty', slug: 'empty' })
  await newProject(empty.id, { name: 'p', slug: 'p' })
  await people.removeOrg(empty.id)
  await t.rejects(people.getOrg(empty.id), { code: 'ORG_NOT_FOUND' })
  await t.rejects(people.removeOrg(empty.id), { code: 'ORG_NOT_FOUND' })
  await t.rejects(people.replaceOrg(empty.id, { name: 'x', slug: 'x' }), { code: 'ORG_NOT_FOUND' })
  t.equal(await people.findAccess(user.id, empty.id, 'jti'), 'elsewhere')
  await t.rejects(orders.placeOrder(empty.id, { amount: 1 }), { code: 'ORG_NOT_FOUND' })
})

t.test('keeps an organisation whose last-minute member has no other one', async (t) => {
  const { people, admin, newOrg } = await startPeople(t)
  const [owner, late] = [await people.signUpGuest(), await people.signUpGuest()]
  const org = await newOrg(owner, { name: 'Shared', slug: 'shared' })
  await rowsOf(admin, 'BEGIN')
  await rowsOf(admin, 'SELECT FROM organisations WHERE id = $1 FOR NO KEY UPDATE', [org.id])

  const removing = outcomeOf(people.removeOrg(org.id))
  await until(async () => (await rowsOf(admin, 'SELECT FROM pg_locks WHERE NOT granted')).length > 0)
  await rowsOf(admin, 'DELETE FROM memberships WHERE user_id = $1', [late.user.id])
  await rowsOf(admin, "INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, 'member')", [
    org.id,
    late.user.id,
  ])
  await rowsOf(admin, 'COMMIT')

  t.equal(await removing, 'ORG_IN_USE')
  t.match(await people.findAccess(late.user.id, org.id, 'jti'), { role: 'member' })
})

t.test('the deletion of an organisation locks it after its projects, as placing does', async (t) => {
  const { people, newOrg, newProject, admin, name } = await startPeople(t)
  const org = await newOrg(await people.signUpGuest(), { name: 'Lamps', slug: 'lamps' })
  const project = await newProject(org.id, { name: 'Lamps', slug: 'lamps' })
  await rowsOf(admin, 'BEGIN')
  await rowsOf(admin, 'SELECT FROM projects WHERE id = $1 FOR KEY SHARE', [project.id])
  const removing = outcomeOf(people.removeOrg(org.id).then(() => 'deleted'))
  const waiting = "SELECT FROM pg_stat_activity WHERE datname = $1 AND wait_event_type = 'Lock'"
  await until(async () => (await rowsOf(admin, waiting, [name])).length > 0)
  const locked = await rowsOf(admin, 'SELECT FROM organisations WHERE id = $1 FOR KEY SHARE NOWAIT', [org.id])
  t.equal(locked.length, 1, 'nobody waits for an organisation that waits for a project')
  await rowsOf(admin, 'ROLLBACK')
  t.equal(await removing, 'deleted')
})

t.test('an organisation that is deleted while orders are placed loses none of them', async (t) => {
  const { people, orders, admin, newOrg } = await startPeople(t)
  const { user, org: home } = await people.signUpGuest()
  const seen = new Set<string>()
  for (let round = 0; round < 30; round++) {
    const org = await newOrg({ user, org: home }, { name: 'x', slug: `round-${round}` })
    const placing = Array.from({ length: 4 }, () => outcomeOf(orders.placeOrder(org.id, { amount: 1 })))
    const deleting = outcomeOf(people.removeOrg(org.id).then(() => 'deleted'))
    const placed = (await Promise.all(placing)).filter((outcome) => typeof outcome !== 'string')
    const outcome = await deleting
    const [{ count }] = await rowsOf(admin, 'SELECT count(*)::int AS count FROM orders WHERE org_id = $1', [org.id])
    t.equal(count, placed.length)
    t.equal(outcome, placed.length > 0 ? 'ORG_IN_USE' : 'deleted')
    seen.add(outcome as string)
  }
  t.comment([...seen].join(', '))
})

t.test('projects, and the orders that name them', async (t) => {
  const { people, orders, newProject } = await startPeople(t)
  const [mine, other] = [await people.signUpGuest(), await people.signUpGuest()]
  const org = mine.org.id
  const project = await newProject(org, { name: 'Shop', slug: 'shop' })
  t.match(project, { org_id: org, name: 'Shop', slug: 'shop' })
  t.strictSame(await people.getProject(org, project.id), project)
  t.match(await people.replaceProject(org, project.id, { name: 'Shop 2', slug: 'shop' }), { name: 'Shop 2' })
  await newProject(other.org.id, { name: 'Shop', slug: 'shop' })
  await t.rejects(newProject(org, { name: 'x', slug: 'shop' }), { code: 'SLUG_TAKEN' })
  await t.rejects(newProject(org, { name: 'x', slug: 'No' }), { code: 'INVALID_PROJECT_SLUG' })
  for (const [where, id] of [
    [other.org.id, project.id],
    [org, randomUUID()],
  ] as const) {
    await t.rejects(people.getProject(where, id), { code: 'PROJECT_NOT_FOUND' })
    await t.rejects(people.replaceProject(where, id, { name: 'x', slug: 'x' }), { code: 'PROJECT_NOT_FOUND' })
    await t.rejects(people.removeProject(where, id), { code: 'PROJECT_NOT_FOUND' })
    await t.rejects(orders.placeOrder(where, { amount: 1, project_id: id }), { code: 'PROJECT_NOT_FOUND' })
  }

  const named = { id: 'a', amount: 1, project_id: project.id.toUpperCase() }
  t.match(await orders.placeOrder(org, named), { created: true, order: { project_id: project.id } })
  t.match(await orders.placeOrder(org, named), { created: false, order: { project_id: project.id } })
  await t.rejects(orders.placeOrder(org, { id: 'a', amount: 1 }), { code: 'ORDER_ID_TAKEN' })
  t.match(await orders.getOrder(org, 'a'), { project_id: project.id })
  await t.rejects(people.removeProject(org, project.id), { code: 'PROJECT_IN_USE' })
  const spare = await newProject(org, { name: 'x', slug: 'spare' })
  await people.removeProject(org, spare.id)
  t.strictSame(
    (await people.listProjects(org, page)).data.map(({ slug }) => slug),
    ['shop'],
  )

  t.comment('orders that share a batch with one of a foreign project are placed')
  const outcomes = await Promise.all(
    [undefined, project.id, randomUUID()].map((project_id) =>
      outcomeOf(orders.placeOrder(org, { amount: 1, ...(project_id && { project_id }) })),
    ),
  )
  t.match(outcomes, [{ created: true }, { created: true }, 'PROJECT_NOT_FOUND'])
})

t.test('members and their roles', async (t) => {
  const { people } = await startPeople(t)
  const [owner, guest] = [await people.signUpGuest(), await people.signUpGuest()]
  const org = owner.org.id
  const id = guest.user.id
  t.match(await people.setMember(org, id, 'viewer'), {
    created: true,
    member: { user_id: id, name: 'guest-0002', role: 'viewer' },
  })
  t.match(await people.findAccess(id, org, 'jti'), { orgId: org, role: 'viewer' })
  t.match(await people.setMember(org, id, 'member'), { created: false, member: { role: 'member' } })
  t.match(await people.getMember(org, id), { role: 'member' })
  t.strictSame(
    (await people.listMembers(org, page)).data.map(({ user_id }) => user_id),
    [id, owner.user.id],
  )
  await t.rejects(people.setMember(org, randomUUID(), 'member'), { code: 'USER_NOT_FOUND' })
  await t.rejects(people.setMember(randomUUID(), id, 'member'), { code: 'ORG_NOT_FOUND' })
  await t.rejects(people.getMember(org, randomUUID()), { code: 'MEMBER_NOT_FOUND' })
  await t.rejects(people.getMember(guest.org.id, owner.user.id), { code: 'MEMBER_NOT_FOUND' })

  await t.rejects(people.removeMember(org, owner.user.id), { code: 'LAST_OWNER' })
  await t.rejects(people.setMember(org, owner.user.id, 'member'), { code: 'LAST_OWNER' })
  t.match(await people.getMember(org, owner.user.id), { role: 'owner' }, 'nothing has changed')
  await people.removeMember(org, id)
  await t.rejects(people.removeMember(org, id), { code: 'MEMBER_NOT_FOUND' })
  t.equal(await people.findAccess(id, org, 'jti'), 'elsewhere')
})

t.test('of two owners that leave at once one stays', async (t) => {
  const service = await startPeople(t)
  const { people } = service
  const other = await createPeople((await openOrders(t, service.url)).database)
  for (let round = 0; round < 20; round++) {
    const [one, two] = [await people.signUpGuest(), await people.signUpGuest()]
    const { id: org } = await service.newOrg(one, { name: 'Shared', slug: `shared-${round}` })
    await people.setMember(org, two.user.id, 'owner')
    const outcomes = await Promise.all([
      outcomeOf(people.removeMember(org, one.user.id)),
      outcomeOf(other.setMember(org, two.user.id, 'viewer')),
    ])
    t.equal(outcomes.filter((outcome) => outcome === 'LAST_OWNER').length, 1)
    const { data } = await people.listMembers(org, page)
    t.equal(data.filter(({ role }) => role === 'owner').length, 1)
  }
})

t.test('lists go on where they ended, for whom they were made', async (t) => {
  const { people, newProject } = await startPeople(t)
  const { user, org } = await people.signUpGuest()
  for (let i = 0; i < 7; i++) await newProject(org.id, { name: `p${i}`, slug: `p${i}` })
  const slugs: string[] = []
  let cursor: string | undefined
  do {
    const { data, next_cursor } = await people.listProjects(org.id, { limit: 3, ...(cursor && { cursor }) })
    slugs.push(...data.map(({ slug }) => slug))
    cursor = next_cursor ?? undefined
    if (cursor) await t.rejects(people.listMembers(org.id, { limit: 3, cursor }), { code: 'CURSOR_INVALID' })
  } while (cursor)
  t.strictSame(slugs, ['p6', 'p5', 'p4', 'p3', 'p2', 'p1', 'p0'])
  t.strictSame((await people.listOrgs(user.id, { limit: 1 })).next_cursor, null)
})

t.test('an Idempotency-Key makes one organisation or project, and answers it again', async (t) => {
  const service = await startPeople(t)
  const { people, admin } = service
  const other = await createPeople((await openOrders(t, service.url)).database)
  const { user, org } = await people.signUpGuest()
  const who = { userId: user.id, orgId: org.id }
  const onceFor = (named: NameAndSlug) => ({
    claim: claimOf('one-key-for-an-organisation', named),
    answerFor: (made: { id: string }) => ({ status: 201, headers: {}, body: JSON.stringify(made) }),
  })
  const lamps = { name: 'Lamps', slug: 'lamps' }
  const outcomes = await Promise.all(
    [people, other, people, other].map((it) => outcomeOf(it.createOrg(who, lamps, onceFor(lamps)))),
  )
  const answers = outcomes.map((outcome) => (typeof outcome === 'string' ? outcome : outcome.answer?.body))
  t.equal(new Set(answers).size, 1, 'all have the same answer')
  t.equal(outcomes.filter((outcome) => typeof outcome !== 'string' && outcome.replayed).length, 3)
  t.strictSame(await rowsOf(admin, "SELECT count(*)::int AS count FROM organisations WHERE slug = 'lamps'"), [
    { count: 1 },
  ])
  const table = { name: 'Tables', slug: 'tables' }
  await t.rejects(people.createOrg(who, table, onceFor(table)), { code: 'IDEMPOTENCY_MISMATCH' })

  const claim = claimOf('one-key-for-a-project', lamps)
  await t.rejects(people.createProject(org.id, { name: 'x', slug: 'No' }, { ...onceFor(lamps), claim }), {
    code: 'INVALID_PROJECT_SLUG',
  })
  t.match(
    await people.createProject(org.id, lamps, { ...onceFor(lamps), claim }),
    { replayed: false, made: lamps },
    'a refusal is not kept',
  )
  t.match(await people.createProject(org.id, lamps, { ...onceFor(lamps), claim }), { replayed: true })
})
