import type { PostgresPool, PostgresPoolClient } from 'kysely'
import type pg from 'pg'

/**
 * The pool as Kysely uses it, except that a connection on which a statement failed is closed and not given to the next
 * request: Kysely itself keeps one whose START TRANSACTION ran out of time, and the next request would break on it.
 * `isFaulty` names connections that are closed in any case.
 *
 * Every query uses the extended protocol, in which PostgreSQL rejects a text of more than one statement. So injected SQL
 * cannot add a statement, such as PREPARE, that affects the next tenant of the connection.
 */
export function discardingPool(pool: pg.Pool, isFaulty: (client: pg.PoolClient) => boolean): PostgresPool {
  const connect = async (): Promise<PostgresPoolClient> => {
    const client = await pool.connect()
    let failed = isFaulty(client)
    const query = (text: string, values: unknown[]) =>
      client.query({ text, values, queryMode: 'extended' } as pg.QueryConfig).catch((error) => {
        failed = true
        throw error
      })
    return { query: query as unknown as PostgresPoolClient['query'], release: () => client.release(failed) }
  }
  return { options: pool.options, connect, end: () => pool.end() }
}
