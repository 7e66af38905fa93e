import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import type { Database } from '../src/database.ts'
import { isUnavailable, pgErrorCode } from '../src/errors.ts'
import { createScratchDatabase } from '../testing/index.ts'
import { connect, rowsOf } from './session.ts'
import { insertOrder, open, selectAll, whatIsLeft } from './tenant.ts'

t.test('two tenants on one connection, in any order and through every fault, see their own rows', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const database = open(t, url, { statement_timeout: 200, connectionTimeoutMillis: 10_000 })
  const seed = Date.now() % 1e9
  t.comment(`seed ${seed}`)
  const random = randomNumbers(seed)
  const tenants = [0, 1].map(() => ({
    org: randomUUID(),
    kept: new Set<string>(),
    unknown: new Set<string>(),
    refused: new Set<string>(),
  }))
  type Tenant = (typeof tenants)[number]
  const done: Record<string, number> = {}
  const leaks: string[] = []
  let steps = 0

  /** Writes one order; only a cut connection or a clock leaves it open whether it is there. */
  async function write(tenant: Tenant, run: (id: string) => Promise<unknown>) {
    const id = `o-${++steps}`
    try {
      await run(id)
      tenant.kept.add(id)
    } catch (error) {
      if (!isUnavailable(error)) throw error
      tenant.unknown.add(id)
    }
  }
  /** Writes one order in a transaction that must fail. */
  async function fail(tenant: Tenant, code: string, run: (id: string) => Promise<unknown>) {
    const id = `o-${++steps}`
    tenant.refused.add(id)
    await run(id).then(
      () => leaks.push(`${id} was not refused`),
      (error) => {
        if (!isUnavailable(error) && pgErrorCode(error) !== code && error.message !== code) throw error
      },
    )
  }
  const kysely = (trx: Parameters<Parameters<Database['inTenant']>[1]>[0], org: string, id: string, amount = '1') =>
    trx.insertInto('orders').values({ org_id: org, id, amount, currency: 'EUR', metadata: '{}' }).execute()

  const moves: [weight: number, name: string, run: (tenant: Tenant) => Promise<unknown>][] = [
    [20, 'burst', (tenant) => write(tenant, (id) => database.runInTenant(tenant.org, insertOrder(tenant.org, id)))],
    [
      10,
      'burst with a second statement',
      (tenant) => write(tenant, (id) => database.runInTenant(tenant.org, insertOrder(tenant.org, id), () => selectAll)),
    ],
    [
      10,
      'transaction',
      (tenant) => write(tenant, (id) => database.inTenant(tenant.org, (trx) => kysely(trx, tenant.org, id))),
    ],
    [
      8,
      'refused in a burst',
      (tenant) => fail(tenant, '23514', (id) => database.runInTenant(tenant.org, insertOrder(tenant.org, id, '-1'))),
    ],
    [
      8,
      'refused in the second statement',
      (tenant) =>
        fail(tenant, '23514', (id) =>
          database.runInTenant(tenant.org, insertOrder(tenant.org, id), () => insertOrder(tenant.org, `${id}-`, '-1')),
        ),
    ],
    [
      8,
      'given up',
      (tenant) =>
        fail(tenant, 'given up', (id) =>
          database.inTenant(tenant.org, async (trx) => {
            await kysely(trx, tenant.org, id)
            throw new Error('given up')
          }),
        ),
    ],
    [
      6,
      'refused in a transaction',
      (tenant) =>
        fail(tenant, '23514', (id) =>
          database.inTenant(tenant.org, async (trx) => {
            await kysely(trx, tenant.org, id)
            await kysely(trx, tenant.org, `${id}-`, '-1')
          }),
        ),
    ],
    [
      6,
      'written for the other one',
      (tenant) =>
        fail(tenant, '42501', (id) => {
          const other = tenants.find((it) => it !== tenant) as Tenant
          other.refused.add(id)
          return database.runInTenant(tenant.org, insertOrder(other.org, id))
        }),
    ],
    [
      1,
      'out of time',
      (tenant) =>
        fail(tenant, '57014', (id) =>
          database.inTenant(tenant.org, async (trx) => {
            await kysely(trx, tenant.org, id)
            await sql`SELECT pg_sleep(5)`.execute(trx)
          }),
        ),
    ],
    [
      1,
      'connection cut',
      () =>
        admin.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'orders'",
          [name],
        ),
    ],
    [
      20,
      'read',
      async (tenant) => {
        const before = [...tenant.kept]
        const rows = await database.runInTenant<{ id: string; org_id: string }>(tenant.org, selectAll)
        const ids = new Set(rows.map((row) => row.id))
        for (const row of rows)
          if (row.org_id !== tenant.org) leaks.push(`${tenant.org} read ${row.id} of ${row.org_id}`)
        for (const id of before) if (!ids.has(id)) leaks.push(`${tenant.org} lost ${id}`)
      },
    ],
    [
      10,
      'no tenant',
      async () => {
        const [left] = await database.runGlobal<{ tenant: string; orders: number }>(whatIsLeft)
        if (left?.tenant !== '' || left.orders !== 0) leaks.push(`a connection kept ${JSON.stringify(left)}`)
      },
    ],
  ]
  const total = moves.reduce((sum, [weight]) => sum + weight, 0)

  await Promise.all(
    Array.from({ length: 6 }, async () => {
      while (steps < 4500) {
        let at = random() * total
        const [, kind, run] = moves.find(([weight]) => {
          at -= weight
          return at < 0
        }) as (typeof moves)[number]
        steps++
        done[kind] = (done[kind] ?? 0) + 1
        await run(tenants[random() < 0.5 ? 0 : 1] as Tenant).catch((error) => {
          if (!isUnavailable(error)) throw error
        })
      }
    }),
  )

  t.comment(JSON.stringify(done))
  t.equal(Object.keys(done).length, moves.length, 'every kind of step was taken')
  t.strictSame(leaks, [])
  for (const { org, kept, unknown, refused } of tenants) {
    const rows = await rowsOf(admin, 'SELECT id FROM orders WHERE org_id = $1', [org])
    const ids = new Set<string>(rows.map((row) => row.id))
    t.ok(kept.size > 200, `${kept.size} orders acknowledged`)
    t.strictSame(
      [...kept].filter((id) => !ids.has(id)),
      [],
      'each is there',
    )
    t.strictSame(
      [...ids].filter((id) => !kept.has(id) && !unknown.has(id)),
      [],
      'and nothing else',
    )
    t.strictSame(
      [...refused].filter((id) => ids.has(id)),
      [],
      'nor anything refused',
    )
  }
})

/** mulberry32 */
function randomNumbers(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
