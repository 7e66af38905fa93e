import { createHmac, timingSafeEqual } from 'node:crypto'
import { assertSchema, type Database, DatabaseError, isUnavailable, pgErrorCode } from '@orders/database'
import { OrdersError } from './errors.ts'

/** Where a page ended: the time in microseconds as PostgreSQL wrote it, and the id. */
export type Position = { created_at: string; id: string }

const macBytes = 16

/** Signs and opens the cursors of lists, so that one works only for the organisation and the filters it was made for. */
export function createCursors(key: Buffer) {
  const mac = (scope: string, position: string) =>
    createHmac('sha256', key).update(`${scope}\0${position}`).digest().subarray(0, macBytes)

  function seal(scope: string, { created_at, id }: Position): string {
    const position = `${created_at}|${id}`
    return Buffer.concat([mac(scope, position), Buffer.from(position)]).toString('base64url')
  }

  /** Throws CURSOR_INVALID. */
  function open(scope: string, cursor: string): Position {
    const bytes = Buffer.from(cursor, 'base64url')
    const position = bytes.subarray(macBytes).toString()
    const [created_at, id] = position.split('|')
    const genuine =
      bytes.length > macBytes &&
      bytes.toString('base64url') === cursor &&
      timingSafeEqual(bytes.subarray(0, macBytes), mac(scope, position))
    if (!genuine || !created_at || !id) {
      throw new OrdersError('CURSOR_INVALID', 'This cursor was not made for this list and these filters.')
    }
    return { created_at, id }
  }

  return { seal, open }
}

/**
 * The key that all processes of a database sign cursors with. Throws a DatabaseError if the database has none, or if its
 * schema or its context keys are not those of this process.
 */
export async function readCursorKey(database: Database): Promise<Buffer> {
  const text = "SELECT service_key('cursor') AS key"
  const read = database.readAsService<{ key: Buffer | null }>({ name: 'cursor_key', text, values: [] })
  const [row] = await read.catch(async (error) => {
    // 42501 counts as unavailable, but at start assertSchema reports a context key that is not registered.
    if (!isUnavailable(error) || pgErrorCode(error) === '42501') await assertSchema(database)
    throw error
  })
  if (!row?.key) throw new DatabaseError('The table service_keys has no key for cursors: restore it from a backup.')
  return row.key
}
