import pg from 'pg'
import { contextKeyOf } from './context.ts'

const asText = (value: string) => value
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === pg.types.builtins.TIMESTAMPTZ) return asText
    if (oid === pg.types.builtins.INT8) return Number
    return pg.types.getTypeParser(oid, format as 'text')
  },
}

/** Who a connection acts as: within one organisation at a time, or on the events of all of them. */
export type Role = 'orders_app' | 'orders_worker'

// A prepared statement keeps its plan, and one that was made while a table was empty would read all of it when it has
// grown, until the next ANALYZE: rows are found by an index from the first. What a worker repeats is always the same.
const plans = {
  orders_app: '-c enable_seqscan=off',
  orders_worker: '-c enable_seqscan=off -c plan_cache_mode=force_generic_plan',
}

// A database or a role may have another value, and a session's own comes first. A standby's may be set in the address.
const durable = '-c synchronous_commit=on'

// A statement whose connection was closed meanwhile ends within this many milliseconds, instead of running to its end.
const cancel = '-c client_connection_check_interval=250'

/** The key of contexts is part of a pool's options, which openDatabase reads. */
export type ContextOptions = { contextKey: Buffer | undefined }

type Options = { max?: number | undefined; role?: Role; unlimited?: boolean; contextKey?: string | undefined }

/**
 * Options of every pool that serves requests (times in milliseconds).
 *
 * The role is part of the connection's start-up packet: whatever rights the URL's user has, each connection runs as
 * that role from its first statement, and RESET ROLE returns to it. With `unlimited`, a statement may take as long as it
 * needs, such as one that reads all orders of an organisation. `contextKey` is the setting CONTEXT_KEY.
 */
export function connectionOptions(
  url: string,
  { max = 10, role = 'orders_app', unlimited = false, contextKey }: Options = {},
) {
  const { connectionString, options } = splitOptions(url)
  return {
    connectionString,
    contextKey: contextKeyOf(url, contextKey),
    options: `${durable} ${cancel} ${options} -c role=${role} -c TimeZone=UTC -c DateStyle=ISO ${plans[role]}`,
    application_name: 'orders',
    max,
    types,
    keepAlive: true,
    connectionTimeoutMillis: 1000,
    idleTimeoutMillis: 60_000,
    maxLifetimeSeconds: 1800,
    statement_timeout: unlimited ? 0 : 4000,
    query_timeout: unlimited ? 0 : 5000,
    lock_timeout: 1000,
    idle_in_transaction_session_timeout: 10_000,
  } satisfies pg.PoolConfig & ContextOptions
}

function splitOptions(url: string) {
  const parsed = new URL(url)
  const options = parsed.searchParams.get('options') ?? ''
  parsed.searchParams.delete('options')
  return { connectionString: parsed.href, options }
}
