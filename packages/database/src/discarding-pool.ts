import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type pg from 'pg'
import { isRowFault } from './errors.ts'

/**
 * What DISCARD ALL does, except that prepared statements stay: a session setting, an advisory lock, LISTEN or a cursor that
 * injected SQL left would act on the next tenant of the connection.
 */
const reset = `CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; UNLISTEN *;
  SELECT pg_advisory_unlock_all(); DISCARD SEQUENCES; DISCARD TEMP`

/**
 * The pool as Kysely uses it, except that a connection on which a statement failed is closed and not given to the next
 * request: Kysely itself keeps one whose START TRANSACTION ran out of time, and the next request would break on it.
 * Any other is reset before the next request gets it. `isFaulty` names connections that are closed in any case.
 *
 * Every query of Kysely uses the extended protocol, in which PostgreSQL rejects a text of more than one statement. So injected SQL
 * cannot add a statement, such as PREPARE, that affects the next tenant of the connection.
 */
export function discardingPool(pool: pg.Pool, isFaulty: (client: pg.PoolClient) => boolean): PostgresPool {
  const connect = async (): Promise<PostgresPoolClient> => {
    const client = await pool.connect()
    let failed = isFaulty(client)
    const query = (text: string, values: unknown[]) =>
      client.query({ text, values, queryMode: 'extended' } as pg.QueryConfig).catch((error) => {
        failed ||= !isRowFault(error)
        throw error
      })
    const release = () =>
      failed || client.getTransactionStatus() !== 'I'
        ? client.release(true)
        : client.query(reset, (error) => client.release(error !== null && error !== undefined))
    return { query: query as unknown as PostgresPoolClient['query'], release }
  }
  return { options: pool.options, connect, end: () => pool.end() }
}
