import { type BulkheadPolicy, BulkheadRejectedError, bulkhead } from 'cockatiel'
import { BusyError } from './errors.ts'

type Limits = {
  /** Works of one party that run at a time, and of all. */
  perParty: number
  total: number
  /** Works of one party that wait. */
  waitingPerParty: number
  /** Milliseconds after which a work that still waits is not begun. */
  maxWaitMs: number
}

/**
 * Runs work of many parties (organisations), the rest waits in order: one that locks its own rows cannot hold every
 * connection. Throws a BusyError for work that it does not begin.
 */
export function createTurns({ perParty, total, waitingPerParty, maxWaitMs }: Limits) {
  const all = bulkhead(total, Number.POSITIVE_INFINITY) // at most `perParty` of each party wait here
  const parties = new Map<string, { turns: BulkheadPolicy; users: number }>()

  return async function inTurn<T>(party: string, work: () => Promise<T>): Promise<T> {
    const latest = performance.now() + maxWaitMs
    const workInTime = () => (performance.now() > latest ? Promise.reject(new BusyError()) : work())
    const entry = parties.get(party) ?? { turns: bulkhead(perParty, waitingPerParty), users: 0 }
    parties.set(party, entry)
    entry.users++
    try {
      return await entry.turns.execute(() => all.execute(workInTime))
    } catch (error) {
      throw error instanceof BulkheadRejectedError ? new BusyError() : error
    } finally {
      if (--entry.users === 0) parties.delete(party)
    }
  }
}
