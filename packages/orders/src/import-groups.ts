import { brokenConstraint, type Database, isRowFault, pgErrorCode } from '@orders/database'
import type { OrderEventType } from '@orders/schema'
import { OrdersError } from './errors.ts'
import { assertSameContent, byId } from './new-order.ts'
import { findUnknownProjects, projectNotFound, readPlaced, refusalOf, unanswered } from './place-order.ts'
import {
  type NewOrderRow,
  type PlacedContent,
  type PlacedRow,
  placeOrders,
  selectPlaced,
} from './placement-repository.ts'
import { retryingConflicts } from './retry.ts'

/** What became of a line of an import. */
export type Outcome = 'placed' | 'existing' | OrdersError
type PlacedBefore = { placed: PlacedContent | null }

const lockNotAvailable = '55P03'
const lockTimeoutMs = 100
/** Twice as many as it takes to find the one row of a group that another transaction holds. */
const maxLocks = 20

/** Placing of the orders of a group together. The caller bounds how many groups are placed at a time. */
export function createGroupPlacing(database: Database, onEvents: (type: OrderEventType, count: number) => void) {
  /** Halves what the database rejects, until only the row that is to blame is left; it waits for a few locks at most. */
  async function placeRows(orgId: string, rows: NewOrderRow[], locks = { met: 0 }): Promise<Outcome[]> {
    try {
      return await placeTogether(orgId, rows)
    } catch (error) {
      if (!isRowFault(error)) throw error
      if (pgErrorCode(error) === lockNotAvailable && ++locks.met > maxLocks) throw error
      if (rows.length === 1 || brokenConstraint(error) === 'orders_org_fkey') {
        // The contract's own checks come before, so there is little left to say.
        const refusal =
          refusalOf(error) ?? new OrdersError('VALIDATION_FAILED', 'The database does not take this order.')
        return rows.map(() => refusal)
      }
      const middle = rows.length >> 1
      return [
        ...(await placeRows(orgId, rows.slice(0, middle), locks)),
        ...(await placeRows(orgId, rows.slice(middle), locks)),
      ]
    }
  }

  const placeTogether = retryingConflicts(async (orgId: string, rows: NewOrderRow[]): Promise<Outcome[]> => {
    const hasUnknownProject = await findUnknownProjects(database, orgId, rows)
    const firsts = new Map<string, NewOrderRow>()
    for (const row of rows) if (!firsts.has(row.id) && !hasUnknownProject(row)) firsts.set(row.id, row)
    const orders = [...firsts.values()].sort(byId)
    const placed = readPlaced(orders.length > 0 ? await insert(orgId, orders) : [], orders)
    onEvents('orders.order.placed.v1', placed.count)
    const isPlaced = (row: NewOrderRow) => firsts.get(row.id) === row && placed.has(row)

    const others = rows.filter((row) => !isPlaced(row)).map(({ id }) => id)
    if (others.length === 0) return rows.map(() => 'placed')
    const known = (await database.readInTenant<PlacedBefore>(orgId, selectPlaced(orgId, others))).values()
    const later = new Set(orders.filter(isPlaced).map(({ id }) => id))
    return rows.map((row) => {
      if (isPlaced(row)) {
        later.delete(row.id)
        return 'placed'
      }
      const found = known.next().value
      // An order that a later line has placed was not there yet.
      const isFound = found?.placed && !later.has(row.id)
      return isFound || !hasUnknownProject(row) ? compare(row, found) : projectNotFound()
    })
  })

  const insert = (orgId: string, orders: NewOrderRow[]) =>
    database.runInTenant<PlacedRow>(orgId, { ...placeOrders(orgId, orders), lockTimeoutMs, inTurn: false })

  return placeRows
}

function compare(row: NewOrderRow, found: PlacedBefore | undefined): Outcome {
  if (!found?.placed) return unanswered()
  try {
    assertSameContent(row, found.placed)
    return 'existing'
  } catch (error) {
    if (error instanceof OrdersError) return error
    throw error
  }
}
