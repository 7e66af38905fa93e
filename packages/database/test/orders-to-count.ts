import type pg from 'pg'
import type { Test } from 'tap'
import { connect } from './session.ts'

export const org = '00000000-0000-7000-8000-000000000000'
export const other = '00000000-0000-7000-8000-000000000001'

/** The first organisation is there from the first migration. */
export const addOther = (admin: pg.Client) =>
  admin.query(`INSERT INTO organisations (id, name, slug) VALUES ($1, 'Other', 'other') ON CONFLICT DO NOTHING`, [
    other,
  ])

/** Orders of two organisations over 30 days. */
export async function insertOrders(admin: pg.Client, prefix: string, count: number): Promise<void> {
  await addOther(admin)
  await admin.query(
    `INSERT INTO orders (org_id, id, amount, currency, status, metadata, created_at)
    SELECT CASE WHEN n % 3 = 0 THEN $1 ELSE $2 END::uuid, $3 || n, n + 0.25, CASE WHEN n % 2 = 0 THEN 'EUR' ELSE 'USD' END,
      (ARRAY['placed', 'confirmed', 'completed', 'cancelled'])[1 + n % 4], jsonb_build_object('n', n),
      timestamptz '2026-01-01T23:30:00Z' + n % 720 * interval '1 hour'
    FROM generate_series(1, $4::int) n`,
    [org, other, prefix, count],
  )
}

/** Writes orders in short transactions until it is stopped. */
export async function startWriting(t: Test, url: string, prefix: string) {
  const client = await connect(t, url)
  let stopped = false
  let written = 0
  const ended = (async () => {
    while (!stopped) {
      await insertOrders(client, `${prefix}-${written++}-`, 3)
      await client.query(`UPDATE orders SET status = 'cancelled', amount = 1 WHERE id = $1`, [`old-${written}`])
      await client.query('DELETE FROM orders WHERE id = $1', [`old-${written + 300}`])
    }
    return written
  })()
  return {
    stop: () => {
      stopped = true
      return ended
    },
  }
}
