/** A database that cannot be used as it is; the message is one sentence that says what to do. */
export class DatabaseError extends Error {
  override name = 'DatabaseError'
}

/** SQLSTATE of an error that PostgreSQL itself sent, else undefined. */
export function pgErrorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

const socketFaults = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EHOSTUNREACH'])
// pg reports these by message only.
const driverFaults = /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (was closed|has encountered))/
// 08 connection, 53 resources, 57P admin shutdown or crash, 25006 a former primary, 25P03 and 57014 a time limit.
const serverFaults = /^(08...|53...|57P..|57014|25006|25P03)$/

/** True if the database could not be asked, or was cut off: repeating the same request later is right. */
export function isUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(isUnavailable)
  const code = (error as NodeJS.ErrnoException).code
  return (
    (code !== undefined && (socketFaults.has(code) || serverFaults.test(code))) || driverFaults.test(error.message)
  )
}
