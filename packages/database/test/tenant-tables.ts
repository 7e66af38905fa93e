import type pg from 'pg'
import { rowsOf } from './session.ts'

export type TenantTable = { name: string; column: string }

/** The tables whose rows belong to organisations, from the catalogue, and the column that names the organisation. */
export async function findTenantTables(admin: pg.Client): Promise<TenantTable[]> {
  return (await rowsOf(
    admin,
    `SELECT relname AS name, CASE relname WHEN 'organisations' THEN 'id' ELSE 'org_id' END AS column FROM pg_class
      WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace AND (relname = 'organisations'
        OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'org_id' AND NOT attisdropped))
      ORDER BY relname`,
  )) as TenantTable[]
}

/** A row of each tenant table, for the organisation `$1`. */
const rows: Record<string, string> = {
  projects: `INSERT INTO projects (org_id, name, slug) VALUES ($1, 'a', 'a')`,
  users: `INSERT INTO users (id, name, home_org_id) VALUES ($1, 'a', $1)`,
  memberships: `INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $1, 'owner')`,
  orders: `INSERT INTO orders (org_id, id, amount, currency) VALUES ($1, 'a', 1, 'EUR')`,
  order_events: `INSERT INTO order_events (org_id, order_number, sequence, type, status, metadata) VALUES ($1, 1, 1, 'a', 'placed', '{}')`,
  outbox: `INSERT INTO outbox (org_id, sequence, order_ids) VALUES ($1, 1, '{a}')`,
  idempotency_records: `INSERT INTO idempotency_records (org_id, route, principal, key, fingerprint) VALUES ($1, 'a', 'a', 'a', 'a')`,
  event_positions: 'INSERT INTO event_positions (org_id, position) VALUES ($1, 1)',
  event_log: `INSERT INTO event_log (org_id, position, sequence, order_ids) VALUES ($1, 1, 1, '{a}')`,
  event_queue: `INSERT INTO event_queue (lane, org_id, order_id, sequence) VALUES (1, $1, 'a', 1)`,
  inbox: `INSERT INTO inbox (org_id, order_id, sequence) VALUES ($1, 'a', 1)`,
  dead_letters: `INSERT INTO dead_letters (org_id, order_id, sequence, attempts, reason) VALUES ($1, 'a', 1, 1, 'a')`,
  webhooks: `INSERT INTO webhooks (org_id, url, key) VALUES ($1, 'https://example.com', sha256('a'))`,
  webhook_deliveries: `INSERT INTO webhook_deliveries (org_id, webhook_id, type) VALUES ($1, $1, 'a')`,
  import_days: 'INSERT INTO import_days (org_id, starts_at, lines) VALUES ($1, now(), 1)',
  webhook_fanouts: 'INSERT INTO webhook_fanouts (org_id, webhook_id, position, events) VALUES ($1, $1, 1, 1)',
  order_statistics: `INSERT INTO order_statistics VALUES ($1, '2026-01-01', 'EUR', 'placed', 1, 1, 2)`,
  order_statistics_changes: `INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes)
    VALUES ($1, '2026-01-01', 'EUR', 'placed', 1, 1, 2)`,
}

export async function fillTenantTables(admin: pg.Client, orgId: string): Promise<void> {
  for (const insert of Object.values(rows)) await admin.query(insert, [orgId])
}
