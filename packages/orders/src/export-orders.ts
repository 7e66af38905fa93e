import type { Database, Tables } from '@orders/database'
import type { OrderFilter } from '@orders/schema'
import { sql, type Transaction } from 'kysely'
import { OrdersError } from './errors.ts'
import { filtered } from './order-repository.ts'
import { type OrderRow, orderColumns } from './row.ts'

/** Each export holds a connection for as long as its reader takes. */
const maxExports = 4
/** Of the pool: the shares of @orders/database count with it. */
const shareOfPool = 0.3
/** Rows that are in memory at once. A row has up to 70 kB: a client that reads 16 KiB/s takes ten of them in 43 s. */
const fewRows = 10
/** Rows in memory after a group of small ones: a round trip for each ten of these would take longer than they do. */
const manyRows = 100
/** Characters of the texts of a small row. */
const smallRow = 6000

/** Reading of all orders at once. */
export function createExporting(database: Database) {
  const atOnce = Math.max(1, Math.min(maxExports, Math.floor(database.poolState().max * shareOfPool)))
  let running = 0

  /**
   * Hands every order that the filter lets through to `onRows`, newest first, in groups of at most a hundred, from one snapshot
   * of the database; at least once, if with no order at all. It waits for each promise that `onRows` returns, for a
   * minute at most, and ends with its error. Throws OVERLOADED if four exports are running in
   * this process, or as many as three of ten connections of its pool.
   */
  async function exportOrders(
    orgId: string,
    filter: OrderFilter,
    onRows: (rows: OrderRow[]) => Promise<void>,
  ): Promise<void> {
    if (running >= atOnce)
      throw new OrdersError('OVERLOADED', `This server serves at most ${atOnce} exports at a time.`)
    running++
    try {
      const options = { isolation: 'repeatable read', readOnly: true } as const
      await database.inTenant(orgId, (trx) => readAll(trx, orgId, filter, onRows), options)
    } finally {
      running--
    }
  }

  return { exportOrders }
}

async function readAll(
  trx: Transaction<Tables>,
  orgId: string,
  filter: OrderFilter,
  onRows: (rows: OrderRow[]) => Promise<void>,
): Promise<void> {
  // A reader may take a minute for a group, and the first rows shall come before the last ones are found.
  await sql`SELECT set_config('idle_in_transaction_session_timeout', '70s', true),
    set_config('cursor_tuple_fraction', '0.0001', true)`.execute(trx)
  const query = filtered(trx, orgId, filter).select(orderColumns).orderBy('created_at', 'desc').orderBy('id', 'desc')
  await sql`DECLARE exported NO SCROLL CURSOR FOR ${query}`.execute(trx)
  for (let read = 0, size = fewRows; ; read += size) {
    const { rows } = await sql<OrderRow>`FETCH ${sql.lit(size)} FROM exported`.execute(trx)
    if (rows.length > 0 || read === 0) await onRows(rows)
    if (rows.length < size) return
    size = textOf(rows) <= smallRow * rows.length ? manyRows : fewRows
  }
}

/** How many characters the texts of these rows have. */
function textOf(rows: OrderRow[]): number {
  let length = 0
  for (const { description, metadata } of rows) length += (description?.length ?? 0) + JSON.stringify(metadata).length
  return length
}
