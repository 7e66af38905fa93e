import { sql } from 'kysely'
import type pg from 'pg'
import type { Database } from '../src/database.ts'
import { isUnavailable, pgErrorCode } from '../src/errors.ts'
import { newOrganisation } from '../testing/index.ts'
import { rowsOf } from './session.ts'
import { insertOrder, selectAll, whatIsLeft } from './tenant.ts'

/** What a tenant may expect to read: what it was told is kept, and nothing that was refused. */
type Tenant = { org: string; kept: Set<string>; unknown: Set<string>; refused: Set<string> }
type Move = (tenant: Tenant, other: Tenant) => Promise<unknown>
type Options = {
  url: string
  admin: pg.Client
  steps: number
  random: () => number
  /** Ends the walk early, once these have been found. */
  wanted?: string[]
}

/**
 * Lets six workers take random steps for two tenants, and tells how often each kind was taken and every way in which
 * what a tenant read, or what is there in the end, differs from what it was told.
 */
export async function interleave(database: Database, { url, admin, steps, random, wanted }: Options) {
  const leaks = new Set<string>()
  const taken: Record<string, number> = {}
  const [one, two] = [await newTenant(url), await newTenant(url)] as const
  const weighted = movesOf(database, admin, (leak) => leaks.add(leak))
  const total = weighted.reduce((sum, [weight]) => sum + weight, 0)
  let step = 0

  const work = async () => {
    while (step++ < steps && !wanted?.every((leak) => leaks.has(leak))) {
      const [kind, move] = pick(weighted, random() * total)
      taken[kind] = (taken[kind] ?? 0) + 1
      const [tenant, other] = random() < 0.5 ? [one, two] : [two, one]
      await move(tenant, other).catch((error) => {
        if (!isUnavailable(error)) leaks.add(`${kind}: ${error.message}`)
      })
    }
  }
  await Promise.all(Array.from({ length: 6 }, work))

  for (const { org, kept, unknown, refused } of [one, two]) {
    const rows = await rowsOf(admin, 'SELECT id FROM orders WHERE org_id = $1', [org])
    const ids = new Set<string>(rows.map((row) => row.id))
    for (const id of kept) if (!ids.has(id)) leaks.add(`${id} was acknowledged and is not there`)
    for (const id of refused) if (ids.has(id)) leaks.add(`${id} was refused and is there`)
    for (const id of ids) if (!kept.has(id) && !unknown.has(id)) leaks.add(`${id} is there and nobody placed it`)
  }
  return { leaks: [...leaks], taken, kinds: weighted.length, kept: one.kept.size + two.kept.size }
}

const newTenant = async (url: string): Promise<Tenant> => ({
  org: await newOrganisation(url),
  kept: new Set(),
  unknown: new Set(),
  refused: new Set(),
})

function pick(moves: [number, string, Move][], at: number): [string, Move] {
  let left = at
  for (const [weight, kind, move] of moves) {
    left -= weight
    if (left < 0) return [kind, move]
  }
  throw new Error('nothing to pick from')
}

function movesOf(database: Database, admin: pg.Client, leak: (what: string) => void): [number, string, Move][] {
  let count = 0

  /** Writes one order. Only a cut connection or a clock leaves it open whether it is there. */
  const writes =
    (run: (org: string, id: string) => Promise<unknown>): Move =>
    async (tenant) => {
      const id = `o-${++count}`
      try {
        await run(tenant.org, id)
        tenant.kept.add(id)
      } catch (error) {
        tenant.unknown.add(id)
        throw error
      }
    }
  /** Writes one order in a transaction that must fail, with this SQLSTATE or message. */
  const fails =
    (reason: string, run: (org: string, id: string, other: string) => Promise<unknown>): Move =>
    async (tenant, other) => {
      const id = `o-${++count}`
      for (const it of [tenant, other]) it.refused.add(id)
      await run(tenant.org, id, other.org).then(
        () => leak(`${id} was not refused`),
        (error) => {
          if (pgErrorCode(error) !== reason && error.message !== reason) throw error
        },
      )
    }
  const { runInTenant, inTenant, runGlobal } = database
  const inTransaction = (org: string, id: string, next: string | Error) =>
    inTenant(org, async (trx) => {
      await trx.insertInto('orders').values({ org_id: org, id, amount: '1', currency: 'EUR', metadata: '{}' }).execute()
      if (next instanceof Error) throw next
      await sql.raw(next).execute(trx)
    })

  return [
    [20, 'burst', writes((org, id) => runInTenant(org, insertOrder(org, id)))],
    [10, 'burst and a second statement', writes((org, id) => runInTenant(org, insertOrder(org, id), () => selectAll))],
    [10, 'transaction', writes((org, id) => inTransaction(org, id, 'SELECT'))],
    [8, 'refused in a burst', fails('23514', (org, id) => runInTenant(org, insertOrder(org, id, '-1')))],
    [
      8,
      'refused in the second statement',
      fails('23514', (org, id) => runInTenant(org, insertOrder(org, id), () => insertOrder(org, `${id}-`, '-1'))),
    ],
    [6, 'written for the other one', fails('42501', (org, id, other) => runInTenant(org, insertOrder(other, id)))],
    [8, 'given up', fails('given up', (org, id) => inTransaction(org, id, new Error('given up')))],
    [6, 'refused in a transaction', fails('22012', (org, id) => inTransaction(org, id, 'SELECT 1 / 0'))],
    [1, 'out of time', fails('57014', (org, id) => inTransaction(org, id, 'SELECT pg_sleep(5)'))],
    [
      1,
      'connection cut',
      () =>
        admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name = 'orders'`),
    ],
    [
      20,
      'read',
      async ({ org, kept }) => {
        const before = [...kept]
        const rows = await runInTenant<{ id: string; org_id: string }>(org, selectAll)
        const ids = new Set(rows.map((row) => row.id))
        if (rows.some((row) => row.org_id !== org)) leak('a tenant read rows of the other one')
        if (before.some((id) => !ids.has(id))) leak('a tenant missed rows of its own')
      },
    ],
    [
      10,
      'no tenant',
      async () => {
        const [left] = await runGlobal<{ tenant: string; orders: number }>(whatIsLeft)
        if (left?.tenant !== '') leak('a connection kept its tenant')
        if (left?.orders !== 0) leak('a connection without a tenant saw rows')
      },
    ],
  ]
}
