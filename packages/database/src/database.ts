import type pg from 'pg'
import { abortable } from './abortable.ts'
import { assertCommitted, lastRows, type Prepared, runBurst } from './burst.ts'
import { createClients } from './clients.ts'
import type { ContextOptions } from './connection.ts'
import { createContextSigner } from './context.ts'
import { watchDurability } from './durability.ts'
import {
  actIn,
  begin,
  commit,
  lockExclusively,
  reading,
  type Statement,
  setHeld,
  setService,
  setTenant,
  setTenantAndPatience,
  setUser,
} from './statements.ts'
import { createTransactions } from './transactions.ts'
import { createTurns } from './turns.ts'

/**
 * Shares of the pool: of all transactions that take turns, and of those of one organisation. Exports have 0.3 and scans
 * 0.2, so that a tenth is left for placing and for reads of a few rows, which hold a connection for a moment. With a share of
 * 0.2, one organisation changed a tenth fewer orders per second; from 0.3 on, as many as without turns.
 */
const shares = { all: 0.4, organisation: 0.3 }
const turnLimits = { waitingPerParty: 500, maxWaitMs: 3000 }

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
  const { contextKey } = pool.options as pg.PoolOptions & Partial<ContextOptions>
  const { sign, observe } = createContextSigner(contextKey)
  const durability = watchDurability(pool, onDurabilityChange, observe)
  const { withClient, withDurableClient } = createClients(pool, durability)
  const shareOf = (share: number) => Math.max(1, Math.floor(pool.options.max * share))
  const total = shareOf(shares.all)
  const perParty = Math.max(1, Math.min(shareOf(shares.organisation), total - 1))
  const inTurn = createTurns({ ...turnLimits, perParty, total })
  const { inTenant, elsewhere, actAsUser } = createTransactions({ pool, sign, durability, inTurn })

  /**
   * Runs a single statement in an organisation, in one round trip: the tenant and the statement leave in one burst, which is a
   * transaction. With `followUp`, that stays open for the statement that it makes of the first one's rows.
   * Resolves after the commit. If the connection breaks before its answer, the outcome is unknown: an error that
   * isUnavailable recognises. It waits for its turn as the transactions of inTenant do.
   */
  function runInTenant<Row extends object>(
    orgId: string,
    statement: Statement,
    followUp?: (rows: Row[]) => Statement | undefined,
  ): Promise<Row[]> {
    const { lockTimeoutMs } = statement
    const setting = () =>
      lockTimeoutMs === undefined ? setTenant(sign, orgId) : setTenantAndPatience(sign, orgId, lockTimeoutMs)
    const run = () => (followUp ? burstInTwo(setting, statement, followUp) : write<Row>(() => [setting(), statement]))
    return statement.inTurn === false ? run() : inTurn(orgId, run)
  }

  /**
   * The same for a read: PostgreSQL refuses whatever would write. When the signal aborts, the promise rejects with its
   * reason, and PostgreSQL cancels the statement because its connection is closed.
   */
  function readInTenant<Row extends object>(orgId: string, statement: Statement, signal?: AbortSignal): Promise<Row[]> {
    const statements = () => [reading(setTenant(sign, orgId), statement), statement]
    if (!signal) return read(statements)
    return withClient((client) => abortable(signal, runBurst(client, statements()))).then(lastRows<Row>)
  }

  /** A read of what a user may see in whatever organisation: the own row, the own memberships, their organisations. */
  function readAsUser<Row extends object>(userId: string, statement: Statement): Promise<Row[]> {
    return read(() => [reading(setUser(sign, userId), statement), statement])
  }

  /** A statement on what belongs to whoever holds a secret, such as a session: the rows of the secret's SHA-256. */
  function runAsHolder<Row extends object>(digest: Buffer, statement: Statement): Promise<Row[]> {
    return write(() => [setHeld(sign, digest), statement])
  }

  /** The same for a read. */
  function readAsHolder<Row extends object>(digest: Buffer, statement: Statement): Promise<Row[]> {
    return read(() => [reading(setHeld(sign, digest), statement), statement])
  }

  /** Reads data that belongs to no organisation, such as keys, with the signed context of the service. */
  function readAsService<Row extends object>(statement: Statement): Promise<Row[]> {
    return read(() => [reading(setService(sign), statement), statement])
  }

  // Contexts are signed once there is a connection: the wait for one does not count, and the time of the database is known.
  const read = <Row extends object>(statements: () => Prepared[]) =>
    withClient(async (client) => lastRows<Row>(await runBurst(client, statements())))

  const write = <Row extends object>(statements: () => Prepared[]) =>
    withDurableClient(async (client) => lastRows<Row>(await runBurst(client, statements())))

  function burstInTwo<Row extends object>(
    setting: () => Statement,
    statement: Statement,
    followUp: (rows: Row[]) => Statement | undefined,
  ): Promise<Row[]> {
    return withDurableClient(async (client) => {
      const rows = lastRows<Row>(await runBurst(client, [begin, setting(), statement]))
      const last = followUp(rows)
      assertCommitted(await runBurst(client, last ? [last, commit] : [commit]))
      return rows
    })
  }

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
      const inTurn = followUps(rows).flatMap(({ orgId, statement }) => [actIn(sign, orgId), statement])
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
    return write(() => [lockExclusively(lock), statement])
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
    readAsService,
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
