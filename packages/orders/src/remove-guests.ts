import { type Database, pgErrorCode, type Statement } from '@orders/database'
import {
  deleteRemoved,
  emptyRemoved,
  type Removal,
  removedTables,
  removeInactiveGuests,
  selectNextUser,
} from './guest-repository.ts'

type Options = {
  /** Of a worker: its role sees all organisations. */
  database: Database
  /** Days without activity after which a guest is removed. */
  days: number
  onRemoved?: ((table: string, rows: number) => void) | undefined
}

export const tablesOfGuests = [...removedTables, 'organisations', 'users', 'sessions']

const removalLock = 7_106_115_006
/** A guest's token and session end within a day of the sign-up, and nothing renews them. */
const activeDays = 1
const guestsAtOnce = 100
const organisationsAtOnce = 100
const rowsAtOnce = 5000
const first = '00000000-0000-0000-0000-000000000000'
// A time limit of statements or of locks (SQLSTATE).
const tookTooLong = /^(57014|55P03)$/

/**
 * Removes inactive guests, with each organisation whose members are all inactive guests. A guest who shares an organisation
 * with an active guest, or with a user of an issuer, stays.
 */
export function createGuestRemoval({ database, days, onRemoved }: Options) {
  let after = first
  let atOnce = guestsAtOnce

  /** Returns how much it has done: 0 once every guest has been examined and nothing is left to remove. */
  async function removeGuests(): Promise<number> {
    return (await emptyOrganisations()) || (await removeNextGuests())
  }

  async function emptyOrganisations(): Promise<number> {
    for (const table of removedTables) {
      const removed = await remove(table, emptyRemoved(table, rowsAtOnce, organisationsAtOnce))
      if (removed > 0) return removed
    }
    return remove('organisations', deleteRemoved(organisationsAtOnce))
  }

  async function remove(table: string, statement: Statement): Promise<number> {
    const [row] = await database.runExclusively<{ removed: number }>(removalLock, statement)
    const removed = row?.removed ?? 0
    count(table, removed)
    return removed
  }

  async function removeNextGuests(): Promise<number> {
    const statement = removeInactiveGuests(after, days + activeDays, atOnce)
    const [removal] = await database.runExclusively<Removal>(removalLock, statement).catch(async (error: Error) => {
      if (tookTooLong.test(pgErrorCode(error) ?? '')) await narrow()
      throw error
    })
    atOnce = Math.min(guestsAtOnce, 2 * atOnce)
    const { examined, last, ...removed } = removal as Removal
    for (const [table, rows] of Object.entries(removed)) count(table, rows)
    after = last ?? first
    return examined
  }

  /** Leaves out, until the next round, a guest with too much for one statement; the others do not wait for that one. */
  async function narrow(): Promise<void> {
    if (atOnce === 1) after = (await database.runGlobal<{ id: string }>(selectNextUser(after)))[0]?.id ?? first
    atOnce = 1
  }

  const count = (table: string, rows: number) => {
    if (rows > 0) onRemoved?.(table, rows)
  }

  return { removeGuests }
}
