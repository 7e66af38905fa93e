import { brokenConstraint, type Database, pgErrorCode, rebuildStatistics } from '@orders/database'
import { recordCounted, selectUncounted } from './statistics-repository.ts'

const lockNotAvailable = '55P03'

/**
 * Counts the orders from before the triggers, an organisation at a time: rebuilds its statistics, which are then exact, and
 * records it. Returns 1 if more may follow, else 0. `database` is a worker's, without time limits.
 */
export function createStatisticsBackfill(database: Database) {
  let completed = false

  return async function backfill(): Promise<number> {
    if (completed) return 0
    const [next] = await database.runGlobal<{ org_id: string | null }>(selectUncounted)
    try {
      if (next?.org_id) await rebuildStatistics(database, next.org_id)
    } catch (error) {
      if (pgErrorCode(error) === lockNotAvailable) return 0 // another process counts
      // Orders whose organisation is gone, which no request makes, have no statistics.
      if (brokenConstraint(error) !== 'orders_org_fkey') throw error
    }
    if (next) await database.runGlobal(recordCounted(next.org_id))
    completed = !next?.org_id
    return completed ? 0 : 1
  }
}
