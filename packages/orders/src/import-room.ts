import type { Database } from '@orders/database'
import type { NewOrder } from '@orders/schema'
import { metadataBytes, type OrderQuota } from './order-quota.ts'
import { type PlacedContent, selectPlaced } from './placement-repository.ts'
import { type ReservedLines, reserveLines } from './quota-repository.ts'
import { defaultQuotas, QuotaExceeded, type Quotas } from './quotas.ts'

type Options = {
  database: Database
  quota: OrderQuota
  quotas: Quotas | undefined
  /** Repeats a step while its error may pass. */
  again: <T>(work: () => Promise<T>) => Promise<T>
}

type ImportedOrder = NewOrder & { id: string }

/** Counts imports against the quotas of lines on a day (UTC), of orders and of metadata. */
export function createImportRoom({
  database,
  quota,
  quotas: { 'import-lines': limit } = defaultQuotas,
  again,
}: Options) {
  /**
   * Reserves room for the lines of a group, placed or rejected, and for its orders. Throws QUOTA_EXCEEDED; lines above their
   * quota are not counted then. Existing orders do not count again, so an interrupted import can be sent again.
   */
  async function reserve(orgId: string, lines: number, orders: ImportedOrder[]): Promise<void> {
    if (lines > 0) await again(() => takeLines(orgId, lines))
    if ((await again(() => takeOrders(orgId, orders))) === undefined) return
    const ids = orders.map(({ id }) => id)
    const known = await again(() =>
      database.readInTenant<{ placed: PlacedContent | null }>(orgId, selectPlaced(orgId, ids)),
    )
    const added = orders.filter((_, i) => !known[i]?.placed)
    const exceeded = await again(() => takeOrders(orgId, added))
    if (exceeded) throw exceeded
  }

  async function takeLines(orgId: string, lines: number): Promise<void> {
    const [found] = await database.runInTenant<ReservedLines>(orgId, reserveLines(orgId, lines, limit))
    const { reserved, before } = found as ReservedLines
    if (reserved !== null) return
    const message = `The organisation has imported ${before} of at most ${limit} lines today (UTC); ${lines} more exceed the quota.`
    throw new QuotaExceeded({ name: 'import-lines', used: before, limit }, message)
  }

  async function takeOrders(orgId: string, orders: ImportedOrder[]): Promise<QuotaExceeded | undefined> {
    // Of the lines with the same id, one is placed. Which one is not known yet, so the largest metadata counts.
    const ofIds = new Map<string, number>()
    for (const { id, metadata } of orders) ofIds.set(id, Math.max(ofIds.get(id) ?? 0, metadataBytes(metadata)))
    const bytes = ofIds.values().reduce((sum, most) => sum + most, 0)
    return quota.take(orgId, ofIds.size, bytes)
  }

  return reserve
}
