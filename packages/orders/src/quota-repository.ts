import type { Statement, Tables } from '@orders/database'
import type { Transaction } from 'kysely'

const today = "date_trunc('day', now(), 'UTC')"
const linesToday = `coalesce((SELECT lines FROM import_days WHERE org_id = $1 AND starts_at = ${today}), 0)`

/** Rows of the organisation, which the caller has locked, in a table. */
export async function countRows(
  trx: Transaction<Tables>,
  table: 'projects' | 'memberships' | 'webhooks',
  orgId: string,
): Promise<number> {
  const { count } = await trx
    .selectFrom(table)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('org_id', '=', orgId)
    .executeTakeFirstOrThrow()
  return count
}

export type OrdersUse = { orders: number; metadata_bytes: number }

// Less the 2 braces of each text. Both tables together are exact at every instant, once the older orders are counted.
const ordersUse = `
  SELECT greatest(sum(orders), 0)::bigint AS orders, greatest(sum(metadata_bytes - 2 * orders), 0)::bigint AS metadata_bytes
  FROM (SELECT orders, metadata_bytes FROM order_statistics WHERE org_id = $1
    UNION ALL SELECT orders, metadata_bytes FROM order_statistics_changes WHERE org_id = $1)`

/** The orders of the organisation and the bytes of their metadata. Returns one OrdersUse. */
export const selectOrdersUse = (orgId: string): Statement => ({
  name: 'select_orders_use',
  text: ordersUse,
  values: [orgId],
})

/** How much the organisation has, in one row with a column for each quota. */
export const selectUse = (orgId: string): Statement => ({
  name: 'select_use',
  text: `SELECT orders, metadata_bytes AS "metadata-bytes",
      (SELECT count(*) FROM projects WHERE org_id = $1) AS projects,
      (SELECT count(*) FROM memberships WHERE org_id = $1) AS members,
      (SELECT count(*) FROM webhooks WHERE org_id = $1) AS webhooks,
      ${linesToday} AS "import-lines"
      FROM (${ordersUse}) AS use`,
  values: [orgId],
})

/** `reserved` is null if the lines would be more than `limit` today; `before` is how many there were. */
export type ReservedLines = { reserved: number | null; before: number }

/** Counts lines of an import on the day of the database, in UTC, unless they are above the limit. */
export const reserveLines = (orgId: string, lines: number, limit: number): Statement => ({
  name: 'reserve_lines',
  text: `WITH reserved AS (
        INSERT INTO import_days (org_id, starts_at, lines)
        SELECT $1, ${today}, $2::bigint WHERE $2::bigint <= $3::bigint
        ON CONFLICT (org_id, starts_at) DO UPDATE SET lines = import_days.lines + excluded.lines
          WHERE import_days.lines + excluded.lines <= $3::bigint
        RETURNING lines)
    SELECT (SELECT lines FROM reserved) AS reserved, ${linesToday} AS before`,
  values: [orgId, lines, limit],
})
