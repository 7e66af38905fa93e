import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { connectDatabase } from '@orders/database'
import type pg from 'pg'
import t from 'tap'
import { createPruning } from '../src/prune.ts'
import { connect, rowsOf, startOrders } from './service.ts'

const readme = readFileSync(join(import.meta.dirname, '../../database/README.md'), 'utf8')

const fixed = [
  'context_keys',
  'event_lanes',
  'kysely_migration',
  'kysely_migration_lock',
  'order_statistics_backfill',
  'service_keys',
]

/** Inserts a row of the organisation $1 whose age column is $2. */
const inserts: Record<string, string> = {
  webhook_fanouts: `INSERT INTO webhook_fanouts (org_id, webhook_id, position, events, created_at)
    VALUES ($1, gen_random_uuid(), 1, 1, $2)`,
  webhook_deliveries: `INSERT INTO webhook_deliveries (org_id, webhook_id, type, created_at)
    VALUES ($1, gen_random_uuid(), 'x', $2)`,
  event_log: `INSERT INTO event_log (org_id, position, sequence, order_ids, logged_at)
    SELECT $1, count(*), 1, '{a}', $2 FROM event_log`,
  inbox: `INSERT INTO inbox (org_id, order_id, sequence, handled_at) SELECT $1, 'a', count(*), $2 FROM inbox`,
  idempotency_records: `INSERT INTO idempotency_records (org_id, route, principal, key, fingerprint, created_at)
    VALUES ($1, 'r', 'p', gen_random_uuid(), '', $2)`,
  import_days: 'INSERT INTO import_days VALUES ($1, $2, 1)',
  dead_letters: `INSERT INTO dead_letters (org_id, order_id, sequence, attempts, reason, created_at)
    VALUES ($1, 'a', 1, 1, 'a', $2)`,
  revoked_tokens: 'INSERT INTO revoked_tokens (user_id, jti, expires_at) VALUES ($1, gen_random_uuid(), $2)',
}

type Entry = { table: string; keptFor?: string; column?: string }

/** The entries of the growth table, with the retention where the worker removes rows by their age. */
function readGrowth(markdown: string): Entry[] {
  const [, section = ''] = markdown.split('\n## Growth\n')
  return section
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .flatMap((line) => {
      const cells = line.split('|')
      const [, keptFor, column] = /^(\d+ \w+) after `(\w+)`$/.exec(cells[4]?.trim() ?? '') ?? []
      const names = [...(cells[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name as string)
      return names.map((table) => ({ table, ...(keptFor && column && { keptFor, column }) }))
    })
}

const growth = readGrowth(readme)

async function tablesOf(admin: pg.Client): Promise<string[]> {
  const text = "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
  return (await rowsOf(admin, text)).map(({ name }) => name).filter((name) => !fixed.includes(name))
}

t.test('the growth table names every table that can grow', async (t) => {
  const { admin } = await startOrders(t)
  const named = growth.map(({ table }) => table).sort()

  t.strictSame(await tablesOf(admin), named)

  t.comment('control: a table that it does not name is found')
  await admin.query('CREATE TABLE planted (id integer)')
  t.strictSame(
    (await tablesOf(admin)).filter((name) => !named.includes(name)),
    ['planted'],
  )
})

t.test('rows are removed at the age that the growth table states, and not before', async (t) => {
  const { url, org } = await startOrders(t)
  const admin = await connect(t, url)
  const { database, close } = connectDatabase(url, { max: 1, role: 'orders_worker', onError: () => {} })
  t.teardown(close)
  const aged = growth.filter(({ keptFor }) => keptFor !== undefined)
  t.strictSame(aged.map(({ table }) => table).sort(), Object.keys(inserts).sort())
  const ages = 'SELECT now() - $1::interval - $2::interval AS at'
  for (const { table, keptFor } of aged) {
    for (const beyond of ['1 minute', '-1 minute']) {
      const [{ at }] = await rowsOf(admin, ages, [keptFor, beyond])
      await admin.query(inserts[table] as string, [org, at])
    }
  }

  const removed: Record<string, number> = {}
  const { prune } = createPruning(database, (table, rows) => {
    removed[table] = (removed[table] ?? 0) + rows
  })
  t.equal(await prune(), aged.length)
  t.equal(await prune(), 0)
  t.strictSame(removed, Object.fromEntries(aged.map(({ table }) => [table, 1])))

  for (const { table, keptFor, column } of aged) {
    const left = `SELECT ${column} > now() - $1::interval AS young FROM ${table}`
    t.strictSame(await rowsOf(admin, left, [keptFor]), [{ young: true }], table)
  }
})
