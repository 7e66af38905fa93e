import type pg from 'pg'

const rawSums = `SELECT org_id, (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, count(*)::numeric AS orders,
    sum(amount) AS amount, sum(octet_length(metadata::text))::numeric AS metadata_bytes FROM orders GROUP BY 1, 2, 3, 4`
const keptSums = `SELECT org_id, day, currency, status, sum(orders)::numeric AS orders, sum(amount) AS amount,
    sum(metadata_bytes)::numeric AS metadata_bytes
  FROM (SELECT org_id, day, currency, status, orders, amount, metadata_bytes FROM order_statistics
    UNION ALL SELECT org_id, day, currency, status, orders, amount, metadata_bytes FROM order_statistics_changes) AS all_rows
  GROUP BY 1, 2, 3, 4 HAVING sum(orders) <> 0 OR sum(amount) <> 0 OR sum(metadata_bytes) <> 0`

/**
 * Rows in which orders and statistics differ, in one snapshot: { side, org_id, day, currency, status, orders, amount,
 * metadata_bytes }.
 */
export async function findStatisticsDifferences(admin: pg.Client): Promise<object[]> {
  const { rows } = await admin.query(`
    WITH raw AS (${rawSums}), kept AS (${keptSums})
    (SELECT 'orders' AS side, * FROM (SELECT * FROM raw EXCEPT SELECT * FROM kept) AS missing)
    UNION ALL (SELECT 'statistics', * FROM (SELECT * FROM kept EXCEPT SELECT * FROM raw) AS wrong)`)
  return rows
}
