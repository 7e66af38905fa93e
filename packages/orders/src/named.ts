import type { NameAndSlug, PageQuery } from '@orders/schema'
import type { createCursors, Position } from './cursor.ts'
import { OrdersError } from './errors.ts'
import { maxPage } from './read-orders.ts'
import { toRfc3339 } from './row.ts'

/** What organisations, projects, members and webhooks have in common: lists, newest first, and names for addresses. */

type Timed = { created_at: string }
type Cursors = ReturnType<typeof createCursors>

const slugPattern = /^[a-z0-9][a-z0-9-]{0,62}$/

/** Throws `code` if the slug is not one. `isTaken` keeps names back. */
export function assertSlug(
  { slug }: NameAndSlug,
  code: 'INVALID_ORG_SLUG' | 'INVALID_PROJECT_SLUG',
  isTaken = (_slug: string) => false,
): void {
  if (slugPattern.test(slug) && !isTaken(slug)) return
  throw new OrdersError(code, `${JSON.stringify(slug.slice(0, 64))} cannot be a slug.`, [
    { path: '/slug', message: 'must be 1 to 63 of a-z, 0-9 and -, beginning with a letter or a digit' },
  ])
}

/** Times as the contract writes them: each column whose name ends in _at, unless it is null. */
export function withTimes<Row extends Timed>(row: Row): Row {
  const times = Object.entries(row).filter(([name, value]) => name.endsWith('_at') && value !== null)
  return { ...row, ...Object.fromEntries(times.map(([name, value]) => [name, toRfc3339(value as string)])) }
}

/** Reads one page: `read` gets the position after which it begins and the number of rows to read. */
export async function readPage<Row extends Timed>(
  cursors: Cursors,
  scope: string,
  { limit, cursor }: PageQuery,
  idOf: (row: Row) => string,
  read: (after: Position | undefined, rows: number) => Promise<Row[]>,
): Promise<{ data: Row[]; next_cursor: string | null }> {
  const size = Math.min(limit, maxPage)
  const rows = await read(cursor === undefined ? undefined : cursors.open(scope, cursor), size + 1)
  const last = rows.length > size ? rows[size - 1] : undefined
  return {
    data: rows.slice(0, size).map(withTimes),
    next_cursor: last ? cursors.seal(scope, { created_at: last.created_at, id: idOf(last) }) : null,
  }
}
