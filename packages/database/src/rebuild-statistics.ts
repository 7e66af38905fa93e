import type { Database } from './database.ts'
import type { Statement } from './statements.ts'

/** Orders of an organisation, and rows of its statistics that differ from them. */
export type Comparison = { orders: number; differences: number }

/** Advisory lock of everything that corrects statistics. */
const lock = 7_106_115_004

/** Organisations with orders or statistics. `database` is a worker's. */
export async function listOrganisations(database: Database): Promise<string[]> {
  const rows = await database.runGlobal<{ org_id: string }>(selectOrganisations)
  return rows.map(({ org_id }) => org_id)
}

/** Compares the statistics of an organisation with its orders, in one snapshot. */
export async function compareStatistics(database: Database, orgId: string): Promise<Comparison> {
  const [found] = await database.runGlobal<Comparison>(compare(orgId))
  return found as Comparison
}

/**
 * Compares them, and appends each difference as a change. Returns what it found before; others may write meanwhile. Throws
 * 55P03 if the lock is not free within the lock timeout.
 */
export async function rebuildStatistics(database: Database, orgId: string): Promise<Comparison> {
  const [found] = await database.runExclusively<Comparison>(lock, rebuild(orgId))
  return found as Comparison
}

const differences = `sums AS MATERIALIZED (
    SELECT (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, count(*) AS orders, sum(amount) AS amount,
      sum(octet_length(metadata::text)) AS metadata_bytes
    FROM orders WHERE org_id = $1 GROUP BY 1, 2, 3
  ), differences AS MATERIALIZED (
    SELECT day, currency, status, sum(orders) AS orders, sum(amount) AS amount, sum(metadata_bytes) AS metadata_bytes
    FROM (
      SELECT * FROM sums
      UNION ALL
      SELECT day, currency, status, -orders, -amount, -metadata_bytes FROM order_statistics WHERE org_id = $1
      UNION ALL
      SELECT day, currency, status, -orders, -amount, -metadata_bytes FROM order_statistics_changes WHERE org_id = $1
    ) AS both_sides GROUP BY day, currency, status
    HAVING sum(orders) <> 0 OR sum(amount) <> 0 OR sum(metadata_bytes) <> 0
  )`
const counted = `SELECT (SELECT coalesce(sum(orders), 0) FROM sums)::bigint AS orders,
    (SELECT count(*) FROM differences)::int AS differences`

const compare = (orgId: string): Statement => ({
  name: 'compare_statistics',
  text: `WITH ${differences} ${counted}`,
  values: [orgId],
})

export const rebuild = (orgId: string): Statement => ({
  name: 'rebuild_statistics',
  text: `WITH ${differences}, corrected AS (
    INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes)
    SELECT $1, day, currency, status, orders, amount, metadata_bytes FROM differences
  ) ${counted}`,
  values: [orgId],
})

/** One look-up in the index for each organisation, however many orders it has. */
const selectOrganisations: Statement = {
  name: 'select_organisations_with_statistics',
  text: `WITH RECURSIVE found AS (
      (SELECT org_id FROM orders ORDER BY org_id LIMIT 1)
      UNION ALL
      SELECT (SELECT o.org_id FROM orders o WHERE o.org_id > found.org_id ORDER BY o.org_id LIMIT 1)
      FROM found WHERE found.org_id IS NOT NULL
    )
    SELECT org_id FROM found WHERE org_id IS NOT NULL
    UNION SELECT org_id FROM order_statistics
    UNION SELECT org_id FROM order_statistics_changes
    ORDER BY org_id`,
  values: [],
}
