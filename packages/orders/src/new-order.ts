import { isDeepStrictEqual } from 'node:util'
import type { NewOrder, Order } from '@orders/schema'
import { v7 as uuidv7 } from 'uuid'
import { amountText } from './amount.ts'
import { OrdersError } from './errors.ts'
import type { NewOrderRow, PlacedContent } from './placement-repository.ts'
import { toRfc3339 } from './row.ts'

// All processes lock in one order, so that their batches cannot deadlock.
export const byId = (a: NewOrderRow, b: NewOrderRow) => (a.id < b.id ? -1 : 1)

export function toRow(order: NewOrder, defaultCurrency: string): NewOrderRow {
  const currency = order.currency ?? defaultCurrency
  return {
    id: order.id ?? uuidv7(),
    amount: amountText(order.amount, currency),
    currency,
    project_id: order.project_id?.toLowerCase() ?? null,
    description: order.description ?? null,
    metadata: order.metadata ? JSON.stringify(order.metadata) : '{}',
  }
}

export function newOrder(orgId: string, item: NewOrderRow, time: string): Order {
  const at = toRfc3339(time)
  return {
    id: item.id,
    org_id: orgId,
    project_id: item.project_id,
    amount: Number(item.amount),
    currency: item.currency,
    status: 'placed',
    description: item.description,
    metadata: item.metadata === '{}' ? {} : JSON.parse(item.metadata),
    created_at: at,
    updated_at: at,
    version: 1,
  }
}

/** Throws ORDER_ID_TAKEN unless the order was placed with the same content. */
export function assertSameContent(item: NewOrderRow, placed: PlacedContent): void {
  if (isDeepStrictEqual(contentOf(item), placed)) return
  throw new OrdersError('ORDER_ID_TAKEN', `The order ${item.id} was placed before with other content.`)
}

const contentOf = ({ amount, currency, project_id, description, metadata }: NewOrderRow): PlacedContent => ({
  amount: Number(amount),
  currency,
  project_id,
  description,
  metadata: JSON.parse(metadata),
})
