import type pg from 'pg'
import { NotDurableError } from './errors.ts'

export type DurabilitySettings = { fsync: string; full_page_writes: string; synchronous_commit: string }

/** Columns of a query that returns DurabilitySettings. */
export const durabilityColumns = `current_setting('fsync') AS fsync,
      current_setting('full_page_writes') AS full_page_writes,
      current_setting('synchronous_commit') AS synchronous_commit`

const query = {
  name: 'durability',
  text: `SELECT ${durabilityColumns}, extract(epoch FROM clock_timestamp())::float8 AS now`,
}

/** Returns one sentence about the first setting with which a crash can undo a commit; undefined if there is none. */
export function findDurabilityFault(settings: DurabilitySettings): string | undefined {
  for (const name of ['fsync', 'full_page_writes', 'synchronous_commit'] as const) {
    const value = settings[name]
    if (value === 'off' || value === 'local')
      return `The database runs with ${name}=${value}, so an acknowledged order could be lost: set it to on.`
  }
  return undefined
}

/**
 * Checks the settings on every new connection of the pool before its first use, and whenever `check` is called.
 * `onChange` receives the fault when writes begin to be refused, and undefined when they are accepted again. `onTime`
 * receives the time of the database (seconds since 1970) with each check.
 */
export function watchDurability(
  pool: pg.Pool,
  onChange: (fault: string | undefined) => void,
  onTime: (seconds: number) => void,
) {
  // Settings of a session, such as synchronous_commit, stay wrong after those of the server are right again.
  const faultySessions = new WeakSet<pg.ClientBase>()
  let fault: string | undefined
  let faultsFound = 0
  let checking: Promise<void> | undefined

  async function inspect(client: pg.ClientBase): Promise<string | undefined> {
    const { rows } = await client.query<DurabilitySettings & { now: number }>(query)
    if (rows[0]) onTime(rows[0].now)
    const found = rows[0] && findDurabilityFault(rows[0])
    if (found) {
      faultySessions.add(client)
      faultsFound++
      setFault(found)
    }
    return found
  }

  function setFault(found: string | undefined): void {
    const changed = (fault === undefined) !== (found === undefined)
    fault = found
    if (changed) onChange(found)
  }

  async function checkNow(): Promise<void> {
    const before = faultsFound
    const client = await pool.connect()
    try {
      const found = await inspect(client)
      client.release(found !== undefined)
      if (!found && faultsFound === before) setFault(undefined)
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  pool.options.onConnect = async (client) => void (await inspect(client as unknown as pg.ClientBase))

  return {
    /** Checks the settings again: only this lets writes continue after a fault. Rejects if the database does not answer. */
    check: (): Promise<void> => {
      checking ??= checkNow().finally(() => {
        checking = undefined
      })
      return checking
    },
    fault: () => fault,
    /** Throws a NotDurableError if a crash could undo a write on this connection. */
    assertDurable(client?: pg.ClientBase): void {
      if (fault !== undefined) throw new NotDurableError(fault)
      if (client && faultySessions.has(client)) throw new NotDurableError('The session is not durable.')
    },
    /** Whether a connection must be closed after its use. */
    isFaulty: (client: pg.ClientBase) => faultySessions.has(client),
  }
}

export type Durability = ReturnType<typeof watchDurability>
