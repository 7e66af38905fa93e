import type { Database, Statement } from '@orders/database'

const atOnce = 5000

/** Table, the column that tells its age, and how long its rows are kept. */
const kept = [
  ['idempotency_records', 'created_at', '72 hours'],
  ['event_log', 'logged_at', '7 days'],
  // As long as its events are in the log.
  ['webhook_fanouts', 'created_at', '7 days'],
  ['inbox', 'handled_at', '8 days'],
  ['import_days', 'starts_at', '7 days'],
  ['revoked_tokens', 'expires_at', '0 hours'],
  ['webhook_deliveries', 'created_at', '30 days'],
  ['dead_letters', 'created_at', '90 days'],
] as const

export const prunedTables = kept.map(([table]) => table)

/**
 * Deletes what is past its time, a few thousand rows at a time. `database` is a worker's. `onRemoved` receives how many
 * rows of a table were deleted.
 */
export function createPruning(database: Database, onRemoved: (table: string, rows: number) => void = () => {}) {
  /** Returns how many rows it has deleted; 0 when nothing is left to do. */
  async function prune(): Promise<number> {
    let pruned = 0
    for (const [table, column, age] of kept) {
      const [row] = await database.runGlobal<{ pruned: number }>(deleteOld(table, column, age))
      onRemoved(table, row?.pruned ?? 0)
      pruned += row?.pruned ?? 0
    }
    return pruned
  }

  return { prune }
}

function deleteOld(table: string, column: string, age: string): Statement {
  return {
    name: `prune_${table}`,
    text: `WITH gone AS (
        DELETE FROM ${table} WHERE ctid IN (
          SELECT ctid FROM ${table} WHERE ${column} < now() - $1::interval LIMIT $2)
        RETURNING 1)
      SELECT count(*)::int AS pruned FROM gone`,
    values: [age, atOnce],
  }
}
