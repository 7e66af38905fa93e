import pg from 'pg'
import { connectionOptions, type Role } from './connection.ts'
import { type Database, openDatabase } from './database.ts'

// How long a prepared statement keeps its plan. The planner knows how large a table is when it plans: one that has grown
// since may be read by the wrong index, and each look-up then reads a part of it.
const planSeconds = 10
const durabilityCheckMs = 1000

type ConnectOptions = {
  max: number
  role: Role
  /** As in connectionOptions. */
  unlimited?: boolean
  contextKey?: string | undefined
  onError: (error: Error) => void
  onDurabilityChange?: (fault: string | undefined) => void
}

/** Opens a database with a pool of its own, for processes that give it to nobody else and repeat few statements for ever. */
export function connectDatabase(
  url: string,
  { onError, onDurabilityChange, ...options }: ConnectOptions,
): { database: Database; close: () => Promise<void> } {
  const pool = new pg.Pool({ ...connectionOptions(url, options), maxLifetimeSeconds: planSeconds })
  const database = openDatabase(pool, onError, onDurabilityChange)
  // A database that does not answer keeps the state that was found last.
  const checking = setInterval(() => database.checkDurability().catch(() => {}), durabilityCheckMs).unref()
  const close = () => {
    clearInterval(checking)
    return pool.end()
  }
  return { database, close }
}
