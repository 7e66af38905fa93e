import { CompiledQuery, type IsolationLevel, Kysely, PostgresDialect, type Transaction } from 'kysely'
import pg from 'pg'
import { type Prepared, runBurst } from './burst.ts'
import { connectionOptions, type Role } from './connection.ts'
import { discardingPool } from './discarding-pool.ts'
import { watchDurability } from './durability.ts'
import {
  actIn,
  begin,
  commit,
  lockExclusively,
  reading,
  type Statement,
  setHeld,
  setTenant,
  setTenantAndPatience,
  setUser,
} from './statements.ts'
import type { Tables } from './tables.ts'

type TransactionOptions = { isolation?: IsolationLevel; readOnly?: boolean; userId?: string }

export type Database = ReturnType<typeof openDatabase>

/**
 * The one way to the orders' database. `pool` is made with connectionOptions and is closed by whoever made it.
 * Errors of idle and of checked-out connections go to `onError`: without a listener on both, a database that restarts
 * would end the process. While a crash of the database could undo a commit, every write throws a NotDurableError;
 * `onDurabilityChange` receives the reason, and undefined when writes are accepted again.
 */
export function openDatabase(
  pool: pg.Pool,
  onError: (error: Error) => void,
  onDurabilityChange: (fault: string | undefined) => void = () => {},
) {
  pool.on('error', onError)
  pool.on('connect', (client) => client.on('error', onError))
  const durability = watchDurability(pool, onDurabilityChange)
  const kysely = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: discardingPool(pool, durability.isFaulty) }),
  })

  /**
   * Runs `work` in a transaction that sees and writes the rows of one organisation only; with `userId`, also sees that
   * user and the user's organisations.
   */
  function inTenant<T>(
    orgId: string,
    work: (trx: Transaction<Tables>) => Promise<T>,
    { isolation = 'read committed', readOnly = false, userId }: TransactionOptions = {},
  ): Promise<T> {
    return kysely
      .transaction()
      .setIsolationLevel(isolation)
      .setAccessMode(readOnly ? 'read only' : 'read write')
      .execute(async (trx) => {
        if (!readOnly) durability.assertDurable()
        for (const { text, values } of [setTenant(orgId), ...(userId === undefined ? [] : [setUser(userId)])]) {
          await trx.executeQuery(CompiledQuery.raw(text, values))
        }
        return work(trx)
      })
  }

  /** Lets one step of such a transaction act in another organisation, such as the one that it makes. */
  async function elsewhere<T>(
    trx: Transaction<Tables>,
    home: string,
    orgId: string,
    work: () => Promise<T>,
  ): Promise<T> {
    const actIn = ({ text, values }: Statement) => trx.executeQuery(CompiledQuery.raw(text, values))
    await actIn(setTenant(orgId))
    const result = await work()
    await actIn(setTenant(home))
    return result
  }

  /** Lets the rest of such a transaction also see a user and the user's organisations. */
  async function actAsUser(trx: Transaction<Tables>, userId: string): Promise<void> {
    const { text, values } = setUser(userId)
    await trx.executeQuery(CompiledQuery.raw(text, values))
  }

  /**
   * The same for a single statement, in one round trip: the tenant and the statement leave in one burst, which is a
   * transaction. With `followUp`, that stays open for the statement that it makes of the first one's rows.
   * Resolves after the commit. If the connection breaks before its answer, the outcome is unknown: an error that
   * isUnavailable recognises.
   */
  function runInTenant<Row extends object>(
    orgId: string,
    statement: Statement,
    followUp?: (rows: Row[]) => Statement | undefined,
  ): Promise<Row[]> {
    const { lockTimeoutMs } = statement
    const setting = lockTimeoutMs === undefined ? setTenant(orgId) : setTenantAndPatience(orgId, lockTimeoutMs)
    return followUp ? burstInTwo(setting, statement, followUp) : write(setting, statement)
  }

  /**
   * The same for a read: PostgreSQL refuses whatever would write. When the signal aborts, the promise rejects with its
   * reason, and PostgreSQL cancels the statement because its connection is closed.
   */
  function readInTenant<Row extends object>(orgId: string, statement: Statement, signal?: AbortSignal): Promise<Row[]> {
    const statements = [reading(setTenant(orgId)), statement]
    if (!signal) return read(...statements)
    return withClient((client) => abortable(signal, runBurst(client, statements))).then(lastRows<Row>)
  }

  /** A read of what a user may see in whatever organisation: the own row, the own memberships, their organisations. */
  function readAsUser<Row extends object>(userId: string, statement: Statement): Promise<Row[]> {
    return read(reading(setUser(userId)), statement)
  }

  /** A statement on what belongs to whoever holds a secret, such as a session: the rows of the secret's SHA-256. */
  function runAsHolder<Row extends object>(digest: Buffer, statement: Statement): Promise<Row[]> {
    return write(setHeld(digest), statement)
  }

  /** The same for a read. */
  function readAsHolder<Row extends object>(digest: Buffer, statement: Statement): Promise<Row[]> {
    return read(reading(setHeld(digest)), statement)
  }

  const read = <Row extends object>(...statements: Prepared[]) =>
    withClient(async (client) => lastRows<Row>(await runBurst(client, statements)))

  const write = <Row extends object>(...statements: Prepared[]) =>
    withDurableClient(async (client) => lastRows<Row>(await runBurst(client, statements)))

  function burstInTwo<Row extends object>(
    setting: Statement,
    statement: Statement,
    followUp: (rows: Row[]) => Statement | undefined,
  ): Promise<Row[]> {
    return withDurableClient(async (client) => {
      const rows = lastRows<Row>(await runBurst(client, [begin, setting, statement]))
      const last = followUp(rows)
      assertCommitted(await runBurst(client, last ? [last, commit] : [commit]))
      return rows
    })
  }

  async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect()
    try {
      const result = await work(client)
      client.release(durability.isFaulty(client))
      return result
    } catch (error) {
      client.release(true) // also ends a transaction that may still be open
      throw error
    }
  }

  const withDurableClient = <T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> =>
    withClient((client) => {
      durability.assertDurable(client)
      return work(client)
    })

  /** Runs a read that belongs to no organisation, such as a health check. */
  function runGlobal<Row extends pg.QueryResultRow>(statement: Statement): Promise<Row[]> {
    return withClient(async (client) => (await client.query<Row>(statement)).rows)
  }

  /**
   * Runs a statement of no one organisation and, in the same transaction, what follows from its rows in organisations:
   * statements that run as orders_app in one of them. Answers its rows, and those of each of them.
   */
  function runGlobalThen<Row extends object, Following extends object>(
    statement: Statement,
    followUps: (rows: Row[]) => { orgId: string; statement: Statement }[],
  ): Promise<{ rows: Row[]; following: Following[][] }> {
    return withDurableClient(async (client) => {
      const rows = lastRows<Row>(await runBurst(client, [begin, statement]))
      const inTurn = followUps(rows).flatMap(({ orgId, statement }) => [actIn(orgId), statement])
      const results = await runBurst(client, [...inTurn, commit])
      assertCommitted(results)
      const following = results.slice(0, -1).filter((_, i) => i % 2 === 1)
      return { rows, following: following.map(({ rows }) => rows) }
    })
  }

  /**
   * Runs a statement of no one organisation while no other process runs one under the same `lock`: it sees all that those
   * before it did.
   */
  function runExclusively<Row extends object>(lock: number, statement: Statement): Promise<Row[]> {
    return write(lockExclusively(lock), statement)
  }

  return {
    inTenant,
    elsewhere,
    actAsUser,
    runInTenant,
    readInTenant,
    readAsUser,
    runAsHolder,
    readAsHolder,
    runGlobal,
    runGlobalThen,
    runExclusively,
    checkDurability: durability.check,
    /** One sentence about the reason for which writes are refused, else undefined. */
    durabilityFault: durability.fault,
    /** Connections in use, idle, and requests that wait for one. */
    poolState: () => ({
      total: pool.totalCount,
      idle: pool.idleCount,
      waiting: pool.waitingCount,
      max: pool.options.max,
    }),
  }
}

// How long a prepared statement keeps its plan. The planner knows how large a table is when it plans: one that has grown
// since may be read by the wrong index, and each look-up then reads a part of it.
const planSeconds = 10
const durabilityCheckMs = 1000

type ConnectOptions = {
  max: number
  role: Role
  onError: (error: Error) => void
  onDurabilityChange?: (fault: string | undefined) => void
}

/** The same with a pool of its own, for processes that give it to nobody else and repeat few statements for ever. */
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

/** Settles as `work` does, or rejects with the reason of the signal if that aborts first. */
async function abortable<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

const lastRows = <Row extends object>(results: pg.QueryResult[]) => results.at(-1)?.rows as Row[]

/** COMMIT of a failed transaction is not an error to PostgreSQL: it answers ROLLBACK. */
function assertCommitted(results: pg.QueryResult[]): void {
  const command = results.at(-1)?.command
  if (command !== commit.text) throw new Error(`the transaction ended with ${command}`)
}
