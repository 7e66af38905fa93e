/** A database that cannot be used as it is; the message is one sentence that says what to do. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
}

/** A write was refused because a crash of the database could undo its commit. */
export class NotDurableError extends DatabaseError {
  override name = 'NotDurableError'
}

/** A write was not begun because too many wait for a connection: its organisation's, or all. */
export class BusyError extends DatabaseError {
  override name = 'BusyError'
  override message = 'Too many changes are waiting for the database.'
}

/** SQLSTATE of an error that PostgreSQL itself sent, else undefined. */
export function pgErrorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** Name of the constraint that a statement broke, else undefined. */
export function brokenConstraint(error: unknown): string | undefined {
  return pgErrorCode(error)?.startsWith('23') ? (error as { constraint?: string }).constraint : undefined
}

/**
 * True if PostgreSQL rejects a row that the caller gave, for its values (class 22), a constraint (23) or a lock of another
 * transaction (55P03): the connection can be used again.
 */
export const isRowFault = (error: unknown): boolean => /^(22|23|55P03)/.test(pgErrorCode(error) ?? '')

const socketFaults = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ETIMEDOUT',
  'EHOSTUNREACH',
])
// pg reports these by message only.
const driverFaults =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (was closed|has encountered))/
// Of the function unverified_context: the key of this process is not registered yet or any more, or the clock jumped.
const contextFaults = /^the context (is not signed with a known key|has expired)$/
// 08 connection, 53 resources, 57P admin shutdown or crash, 25006 a former primary, 25P03 and 57014 a time limit, 55P03 a
// lock that did not come free in time, 40001 and 40P01 a conflict with others.
const serverFaults = /^(08...|53...|57P..|57014|25006|25P03|55P03|40001|40P01)$/

/** True if the database could not be asked, or was cut off: repeating the same request later is right. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof NotDurableError || error instanceof BusyError) return true
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isUnavailable)
  const code = (error as NodeJS.ErrnoException).code
  if (code === '42501' && contextFaults.test(error.message)) return true
  return (code !== undefined && (socketFaults.has(code) || serverFaults.test(code))) || driverFaults.test(error.message)
}

/** One sentence for an operator about why the database cannot be used; undefined if that is not what went wrong. */
export function explainDatabaseError(error: unknown): string | undefined {
  if (error instanceof DatabaseError) return error.message
  if (!(error instanceof Error)) return undefined
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ERR_INVALID_URL')
    return 'DATABASE_URL is not an address: write postgresql://user:password@host:port/database.'
  if (code === '28P01' || code === '28000')
    return `The database refuses the login (${message}): check the user and the password in DATABASE_URL.`
  if (code === '3D000')
    return `The database does not exist (${message}): create it, or correct the name in DATABASE_URL.`
  if (code === '22023' && message.includes('orders_app')) {
    return 'The database has no schema yet: run npx nx run database:migrate.'
  }
  if (code === '42501' && message.includes('role')) {
    return 'The user of DATABASE_URL may not become orders_app: run GRANT orders_app TO that user as its owner.'
  }
  if (isUnavailable(error))
    return `The database cannot be reached (${reasonOf(error)}): start it, or correct DATABASE_URL.`
  return undefined
}

function reasonOf(error: Error): string {
  const [first] = error instanceof AggregateError ? error.errors : []
  return first instanceof Error ? first.message : error.message
}
