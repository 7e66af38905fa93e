import type { Database } from '@orders/database'
import type { Order, OrderEventType, OrderPatch, OrderStatus } from '@orders/schema'
import { OrdersError } from './errors.ts'
import { recordEvent } from './event-repository.ts'
import { lockOrder, updateOrder } from './order-repository.ts'
import { retryingConflicts } from './retry.ts'
import { toOrder } from './row.ts'

export const verbs = ['confirm', 'complete', 'cancel'] as const
export type Verb = (typeof verbs)[number]

type Transition = { from: OrderStatus[]; to: OrderStatus; event: OrderEventType }

const transitions: Record<Verb, Transition> = {
  confirm: { from: ['placed'], to: 'confirmed', event: 'orders.order.confirmed.v1' },
  complete: { from: ['confirmed'], to: 'completed', event: 'orders.order.completed.v1' },
  cancel: { from: ['placed', 'confirmed'], to: 'cancelled', event: 'orders.order.cancelled.v1' },
}

/** The verbs that an order in this status takes. */
export const verbsFor = (status: OrderStatus): Verb[] => verbs.filter((verb) => transitions[verb].from.includes(status))

export function createChanging(database: Database) {
  /** Moves the order on; the same verb again changes nothing. Throws ORDER_NOT_FOUND, ILLEGAL_TRANSITION. */
  const changeStatus = retryingConflicts(
    (orgId: string, id: string, verb: Verb): Promise<Order> =>
      database.inTenant(orgId, async (trx) => {
        const row = await lockOrder(trx, orgId, id)
        if (!row) throw notFound(id)
        const { from, to, event } = transitions[verb]
        if (row.status === to) return toOrder(row)
        if (!from.includes(row.status as OrderStatus)) {
          throw new OrdersError('ILLEGAL_TRANSITION', `An order that is ${row.status} cannot become ${to}.`)
        }
        const changed = await updateOrder(trx, orgId, id, { status: to })
        await recordEvent(trx, event, changed)
        return toOrder(changed)
      }),
  )

  /**
   * Replaces the description or the metadata, if the order still has the version that `isCurrent` accepts.
   * Throws ORDER_NOT_FOUND, PRECONDITION_FAILED.
   */
  const updateOrderText = retryingConflicts(
    (orgId: string, id: string, patch: OrderPatch, isCurrent: (version: number) => boolean): Promise<Order> =>
      database.inTenant(orgId, async (trx) => {
        const row = await lockOrder(trx, orgId, id)
        if (!row) throw notFound(id)
        if (!isCurrent(row.version)) {
          throw new OrdersError('PRECONDITION_FAILED', `The order is at version ${row.version} now.`)
        }
        const changed = await updateOrder(trx, orgId, id, {
          ...(patch.description !== undefined && { description: patch.description }),
          ...(patch.metadata !== undefined && { metadata: JSON.stringify(patch.metadata) }),
        })
        await recordEvent(trx, 'orders.order.updated.v1', changed)
        return toOrder(changed)
      }),
  )

  return { changeStatus, updateOrderText }
}

export const notFound = (id: string) => new OrdersError('ORDER_NOT_FOUND', `There is no order ${id}.`)
