import type { Database } from '@orders/database'
import type { Order, OrderEventType, OrderPatch, OrderStatus } from '@orders/schema'
import { OrdersError } from './errors.ts'
import { recordEvent } from './event-repository.ts'
import { metadataBytes, type OrderQuota } from './order-quota.ts'
import { type Change, lockOrder, updateOrder } from './order-repository.ts'
import { retryingConflicts } from './retry.ts'
import { type OrderRow, toOrder } from './row.ts'

export const verbs = ['confirm', 'complete', 'cancel'] as const
export type Verb = (typeof verbs)[number]

type Transition = { from: OrderStatus[]; to: OrderStatus; event: OrderEventType }

export const transitions: Record<Verb, Transition> = {
  confirm: { from: ['placed'], to: 'confirmed', event: 'orders.order.confirmed.v1' },
  complete: { from: ['confirmed'], to: 'completed', event: 'orders.order.completed.v1' },
  cancel: { from: ['placed', 'confirmed'], to: 'cancelled', event: 'orders.order.cancelled.v1' },
}

/** The verbs that an order in this status takes. */
export const verbsFor = (status: OrderStatus): Verb[] => verbs.filter((verb) => transitions[verb].from.includes(status))

type OnEvents = (type: OrderEventType, count: number) => void

export function createChanging(database: Database, quota: OrderQuota, onEvents: OnEvents) {
  /** Locks the order, and writes what `decide` makes of it together with its event; undefined leaves it as it is. */
  async function change(
    orgId: string,
    id: string,
    type: OrderEventType,
    decide: (row: OrderRow) => Change | undefined,
  ): Promise<Order> {
    const { order, changed } = await database.inTenant(orgId, async (trx) => {
      const row = await lockOrder(trx, orgId, id)
      if (!row) throw notFound(id)
      const decided = decide(row)
      if (!decided) return { order: toOrder(row), changed: false }
      const written = await updateOrder(trx, orgId, id, decided)
      await recordEvent(trx, type, written)
      return { order: toOrder(written), changed: true }
    })
    if (changed) onEvents(type, 1)
    return order
  }

  const retrying = retryingConflicts(change)

  /** Moves the order on; the same verb again changes nothing. Throws ORDER_NOT_FOUND, ILLEGAL_TRANSITION. */
  function changeStatus(orgId: string, id: string, verb: Verb): Promise<Order> {
    const { from, to, event } = transitions[verb]
    return retrying(orgId, id, event, ({ status }) => {
      if (status === to) return undefined
      if (!from.includes(status as OrderStatus)) {
        throw new OrdersError('ILLEGAL_TRANSITION', `An order that is ${status} cannot become ${to}.`)
      }
      return { status: to }
    })
  }

  /**
   * Replaces the description or the metadata if the order still has a version that `isCurrent` accepts.
   * Throws ORDER_NOT_FOUND, PRECONDITION_FAILED, QUOTA_EXCEEDED.
   */
  async function editOrder(
    orgId: string,
    id: string,
    { description, metadata }: OrderPatch,
    isCurrent: (version: number) => boolean,
  ): Promise<Order> {
    const takeBytes = metadata && (await quota.prepareMetadata(orgId))
    return retrying(orgId, id, 'orders.order.updated.v1', (row) => {
      if (!isCurrent(row.version)) {
        throw new OrdersError('PRECONDITION_FAILED', `The order is at version ${row.version} now.`)
      }
      const exceeded = takeBytes?.(metadataBytes(metadata) - metadataBytes(row.metadata))
      if (exceeded) throw exceeded
      return {
        ...(description !== undefined && { description }),
        ...(metadata !== undefined && { metadata: JSON.stringify(metadata) }),
      }
    })
  }

  return { changeStatus, editOrder }
}

export const notFound = (id: string) => new OrdersError('ORDER_NOT_FOUND', `There is no order ${id}.`)
