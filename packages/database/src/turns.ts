import { type BulkheadPolicy, bulkhead } from 'cockatiel'

/**
 * Runs work of many parties, at most `perParty` at a time of each and at most `total` of all; the rest waits in order. So
 * one party that locks its own rows cannot hold every connection.
 */
export function createTurns(perParty: number, total: number) {
  const all = bulkhead(total, Number.POSITIVE_INFINITY)
  const parties = new Map<string, { turns: BulkheadPolicy; users: number }>()

  return async function inTurn<T>(party: string, work: () => Promise<T>): Promise<T> {
    const entry = parties.get(party) ?? { turns: bulkhead(perParty, Number.POSITIVE_INFINITY), users: 0 }
    parties.set(party, entry)
    entry.users++
    try {
      return await entry.turns.execute(() => all.execute(work))
    } finally {
      if (--entry.users === 0) parties.delete(party)
    }
  }
}
