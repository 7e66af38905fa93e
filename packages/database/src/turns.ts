import { type BulkheadPolicy, BulkheadRejectedError, bulkhead } from 'cockatiel'
import { BusyError } from './errors.ts'

type Limits = {
  /** Works of one party that run at a time, and of all. */
  perParty: number
  total: number
  /** Works of one party that wait. */
  waitingPerParty: number
  /** Milliseconds that a work may wait. */
  maxWaitMs: number
}

/**
 * Runs work of many parties (organisations), the rest waits in order: one that locks its own rows cannot hold every
 * connection. Throws a BusyError for work that it does not begin.
 */
export function createTurns({ perParty, total, waitingPerParty, maxWaitMs }: Limits) {
  const all = bulkhead(total, Number.POSITIVE_INFINITY) // at most `perParty` of each party wait here
  const parties = new Map<string, { turns: BulkheadPolicy; users: number }>()

  async function queue<T>(party: string, work: () => Promise<T>): Promise<T> {
    const entry = parties.get(party) ?? { turns: bulkhead(perParty, waitingPerParty), users: 0 }
    parties.set(party, entry)
    entry.users++
    try {
      return await entry.turns.execute(() => all.execute(work))
    } catch (error) {
      throw error instanceof BulkheadRejectedError ? new BusyError() : error
    } finally {
      if (--entry.users === 0) parties.delete(party)
    }
  }

  return function inTurn<T>(party: string, work: () => Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>()
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      late.reject(new BusyError())
    }, maxWaitMs)
    const result = queue(party, async () => {
      clearTimeout(timer)
      if (isLate) throw new BusyError()
      return work()
    }).finally(() => clearTimeout(timer))
    return Promise.race([result, late.promise])
  }
}
