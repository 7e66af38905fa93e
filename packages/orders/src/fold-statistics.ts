import type { Database } from '@orders/database'
import { foldStatistics, selectStatisticsBacklog } from './statistics-repository.ts'

const foldLock = 7_106_115_005
const atOnce = 10_000

/** Folds the changes of the order statistics into the rollup. `database` is a worker's. */
export function createStatistics(database: Database) {
  /**
   * Folds up to `limit` changes. Returns `limit` if more may wait, else 0, so that the loop pauses and small changes gather.
   * Throws 55P03 if another process holds the lock for longer than the lock timeout.
   */
  async function fold(limit = atOnce): Promise<number> {
    const [row] = await database.runExclusively<{ folded: number }>(foldLock, foldStatistics(limit))
    return row?.folded === limit ? limit : 0
  }

  /** Changes that wait to be folded, up to a million. */
  async function backlog(): Promise<number> {
    const [row] = await database.runGlobal<{ waiting: number }>(selectStatisticsBacklog)
    return row?.waiting ?? 0
  }

  return { fold, backlog }
}
