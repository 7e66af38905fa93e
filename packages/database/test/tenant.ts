import pg from 'pg'
import { connectionOptions } from '../src/connection.ts'
import { type Database, openDatabase } from '../src/database.ts'
import type { Statement } from '../src/statements.ts'

type Test = { teardown(fn: () => Promise<void>): void }

export const insertOrder = (orgId: string, id: string, amount = '1.00'): Statement => ({
  name: 'insert_order',
  text: 'INSERT INTO orders (org_id, id, amount, currency) VALUES ($1, $2, $3, $4) RETURNING id',
  values: [orgId, id, amount, 'EUR'],
})
export const selectAll: Statement = { name: 'select_all', text: 'SELECT id, org_id FROM orders', values: [] }
export const whatIsLeft: Statement = {
  name: 'what_is_left',
  text: `SELECT split_part(coalesce(current_setting('app.org_id', true), ''), '.', 1) AS tenant, (SELECT count(*)::int FROM orders) AS orders`,
  values: [],
}

/** The service's own way to the database, with a pool of one connection. */
export function open(t: Test, url: string, options: Partial<pg.PoolConfig> = {}): Database {
  const pool = new pg.Pool({ ...connectionOptions(url, { max: 1 }), ...options })
  t.teardown(() => pool.end())
  return openDatabase(pool, () => {})
}
