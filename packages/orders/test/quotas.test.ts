import type { Database } from '@orders/database'
import t, { type Test } from 'tap'
import { createImporting } from '../src/import-orders.ts'
import { createOrderQuota } from '../src/order-quota.ts'
import { createPeople } from '../src/people.ts'
import { defaultQuotas, QuotaExceeded } from '../src/quotas.ts'
import { createUsage } from '../src/usage.ts'
import { createWebhooks } from '../src/webhooks.ts'
import { openOrders, rowsOf, startOrders } from './service.ts'

const quotas = { ...defaultQuotas, projects: 3, members: 3, webhooks: 3 }

/** What one process offers under these quotas. */
async function openProcess(database: Database) {
  const webhooks = await createWebhooks({ database, checkUrl: async () => undefined, quotas })
  return { people: await createPeople(database, quotas), webhooks }
}

/** Two processes on one database, and the home organisation of a guest. */
async function start(t: Test) {
  const service = await startOrders(t)
  const processes = [
    await openProcess(service.database),
    await openProcess((await openOrders(t, service.url)).database),
  ] as const
  const { user, org } = await processes[0].people.signUpGuest()
  const count = async (table: string) =>
    (await rowsOf(service.admin, `SELECT count(*)::int AS n FROM ${table} WHERE org_id = $1`, [org.id]))[0].n
  return { processes, user, org: org.id, count }
}

type Process = Awaited<ReturnType<typeof openProcess>>

/** Adds ten at once, through both processes in turns, and returns what was refused. */
async function addTen(processes: readonly Process[], add: (process: Process, i: number) => Promise<unknown>) {
  const added = Array.from({ length: 10 }, (_, i) => add(processes[i % 2] as Process, i))
  return (await Promise.allSettled(added)).flatMap((it) => (it.status === 'rejected' ? [it.reason] : []))
}

t.test('an organisation gets no more projects than its quota, also from requests at the same time', async (t) => {
  const { processes, org, count } = await start(t)
  const add = ({ people }: Process, i: number) => people.createProject(org, { name: 'Shop', slug: `shop-${i}` })

  const refused = await addTen(processes, add)

  t.equal(await count('projects'), 3)
  t.equal(refused.length, 7)
  for (const error of refused) {
    t.type(error, QuotaExceeded)
    t.match(error, { code: 'QUOTA_EXCEEDED', quota: { name: 'projects', used: 3, limit: 3 } })
    t.equal(error.message, 'The organisation has 3 of at most 3 projects.')
  }
})

t.test('a project that is removed makes room for another', async (t) => {
  const { processes, org, count } = await start(t)
  const { people } = processes[0]
  const add = (slug: string) => people.createProject(org, { name: 'Shop', slug })
  await Promise.all(['a', 'b', 'c'].map(add))
  await t.rejects(add('d'), { code: 'QUOTA_EXCEEDED' })

  const { data } = await people.listProjects(org, { limit: 1 })
  await people.removeProject(org, data[0]?.id as string)
  await add('d')

  t.equal(await count('projects'), 3)
})

t.test('an organisation gets no more members than its quota, also from requests at the same time', async (t) => {
  const { processes, user, org, count } = await start(t)
  const guests = await Promise.all(Array.from({ length: 10 }, () => processes[0].people.signUpGuest()))
  const add = ({ people }: Process, i: number) => people.setMember(org, guests[i]?.user.id as string, 'viewer')

  const refused = await addTen(processes, add)

  t.equal(await count('memberships'), 3)
  t.equal(refused.length, 8)
  for (const error of refused) t.match(error, { code: 'QUOTA_EXCEEDED', quota: { name: 'members', used: 3, limit: 3 } })
  t.match(await processes[0].people.setMember(org, user.id, 'owner'), { created: false }, 'a member keeps the place')
})

t.test('an organisation gets no more webhooks than its quota, also from requests at the same time', async (t) => {
  const { processes, org, count } = await start(t)
  const add = ({ webhooks }: Process, i: number) => webhooks.createWebhook(org, { url: `https://a.example/${i}` })

  const refused = await addTen(processes, add)

  t.equal(await count('webhooks'), 3)
  t.equal(refused.length, 7)
  for (const error of refused) t.match(error, { code: 'QUOTA_EXCEEDED', quota: { name: 'webhooks', used: 3 } })
})

t.test('an import places no line after the first group that exceeds the quota', async (t) => {
  const service = await startOrders(t)
  const { database } = service
  const options = { database, quota: createOrderQuota(database), defaultCurrency: 'EUR', onEvents: () => {} }
  const { importOrders } = createImporting({ ...options, quotas: { ...defaultQuotas, 'import-lines': 600 } })
  const importGroups = async (name: string, sizes: number[]) => {
    let placed = 0
    async function* groups() {
      for (const [i, size] of sizes.entries()) {
        yield Array.from({ length: size }, (_, n) => ({ line: n + 1, order: { id: `${name}-${i}-${n}`, amount: 1 } }))
      }
    }
    const importing = async () => {
      for await (const step of importOrders(service.org, groups())) placed = step.placed_count
    }
    await t.rejects(importing(), { code: 'QUOTA_EXCEEDED' })
    const text = `SELECT count(*)::int AS found FROM orders WHERE id LIKE '${name}-%'`
    return { placed, ...(await rowsOf(service.admin, text))[0] }
  }

  t.strictSame(await importGroups('late', [700, 550]), { placed: 0, found: 0 }, 'the first group is above the quota')
  t.strictSame(await importGroups('early', [500, 500]), { placed: 500, found: 500 }, 'the second group is')
})

t.test('imports place no line above the quota of a day, also imports at the same time', async (t) => {
  const service = await startOrders(t)
  const limited = { ...defaultQuotas, 'import-lines': 20 }
  const importing = [service.database, (await openOrders(t, service.url)).database].map((database) =>
    createImporting({
      database,
      quota: createOrderQuota(database),
      defaultCurrency: 'EUR',
      onEvents: () => {},
      quotas: limited,
    }),
  )
  const count = async () => (await rowsOf(service.admin, 'SELECT count(*)::int AS n FROM orders'))[0].n
  /** Imports five orders, which are one group, and returns how many were placed. */
  const importFive = async (i: number) => {
    let placed = 0
    async function* lines() {
      yield [1, 2, 3, 4, 5].map((line) => ({ line, order: { id: `${i}-${line}`, amount: 1 } }))
    }
    for await (const step of (importing[i % 2] as (typeof importing)[0]).importOrders(service.org, lines())) {
      placed = step.placed_count
    }
    return placed
  }

  const results = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => importFive(i)))

  const refused = results.flatMap((it) => (it.status === 'rejected' ? [it.reason] : []))
  t.equal(refused.length, 4)
  for (const error of refused) {
    t.match(error, { code: 'QUOTA_EXCEEDED', quota: { name: 'import-lines', limit: 20 } })
    const imported = `The organisation has imported ${error.quota.used} of at most 20 lines today (UTC)`
    t.equal(error.message, `${imported}; 5 more exceed the quota.`)
  }
  t.equal(await count(), 20)
  const readUsage = createUsage(service.database, limited)
  t.match((await readUsage(service.org)).at(-1), { name: 'import-lines', used: 20, limit: 20 })

  t.comment('the next day has lines again')
  await service.admin.query(`UPDATE import_days SET starts_at = starts_at - interval '1 day'`)
  t.match((await readUsage(service.org)).at(-1), { used: 0 })
  t.equal(await importFive(8), 5)
})
