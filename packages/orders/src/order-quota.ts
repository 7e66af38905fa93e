import type { Database } from '@orders/database'
import { type OrdersUse, selectOrdersUse } from './quota-repository.ts'
import { defaultQuotas, QuotaExceeded, type Quotas } from './quotas.ts'

/** Milliseconds after which the sums of an organisation are read again. */
const freshMs = 5000
const mostOrganisations = 10_000

type Known = OrdersUse & { readAt: number; reading?: Promise<void> | undefined }
type Outcome = QuotaExceeded | undefined

export type OrderQuota = ReturnType<typeof createOrderQuota>

/**
 * Counts the orders of an organisation, and the bytes of their metadata, against their quotas. A process adds what it is
 * about to write to the sums of the database, which it reads every 5 s. So all processes together can exceed a quota by
 * what they write in 5 s. Near the limit, a retry can be rejected for up to 5 s. `now` is a monotonic clock in milliseconds.
 */
export function createOrderQuota(database: Database, quotas: Quotas = defaultQuotas, now = () => performance.now()) {
  const known = new Map<string, Known>()
  const firstReads = new Map<string, Promise<Known>>()

  /**
   * Counts the additions and returns undefined; or counts nothing and returns which quota they exceed. `bytes` are those of
   * metadataBytes. Only the first call of an organisation, and one that may be rejected, wait for the database.
   */
  function take(orgId: string, orders: number, bytes: number): Outcome | Promise<Outcome> {
    const use = currentUse(orgId)
    return use instanceof Promise ? use.then((use) => takeFresh(use, orders, bytes)) : takeFresh(use, orders, bytes)
  }

  function takeFresh(use: Known, orders: number, bytes: number): Outcome | Promise<Outcome> {
    const rejection = takeFrom(use, orders, bytes)
    if (!rejection || !use.reading) return rejection
    // The sums may be too high: they are older than 5 s. Wait for the read in progress before rejecting.
    return use.reading.then(() => takeFrom(use, orders, bytes))
  }

  /** Waits for current sums. Returns a synchronous `take` for bytes of metadata; a negative number releases bytes. */
  async function prepareMetadata(orgId: string): Promise<(bytes: number) => Outcome> {
    const use = await currentUse(orgId)
    await use.reading
    return (bytes) => takeFrom(use, 0, bytes)
  }

  function takeFrom(use: Known, orders: number, bytes: number): Outcome {
    if (orders > 0 && use.orders + orders > quotas.orders) return exceeded('orders', use.orders, orders)
    if (bytes > 0 && use.metadata_bytes + bytes > quotas['metadata-bytes']) {
      return exceeded('metadata-bytes', use.metadata_bytes, bytes)
    }
    use.orders += orders
    use.metadata_bytes += bytes
    return undefined
  }

  function exceeded(name: 'orders' | 'metadata-bytes', used: number, more: number): QuotaExceeded {
    const limit = quotas[name]
    const message = `The organisation has ${used} of at most ${limit} ${name}; ${more} more exceed the quota.`
    return new QuotaExceeded({ name, used, limit }, message)
  }

  /** The sums read last, and a new read if they are older than 5 s; a promise for an organisation that is new here. */
  function currentUse(orgId: string): Known | Promise<Known> {
    const use = known.get(orgId)
    if (!use) return firstReads.get(orgId) ?? readFirst(orgId)
    if (!use.reading && now() - use.readAt >= freshMs) use.reading = readAgain(orgId, use)
    return use
  }

  async function readAgain(orgId: string, use: Known): Promise<void> {
    use.readAt = now() // If this read fails, the next one is 5 s later.
    const read = await readUse(orgId).catch(() => undefined)
    Object.assign(use, read, { reading: undefined })
  }

  /** If the sums cannot be read (for example after a timeout), the use counts as 0, and the sums are read again after 5 s. */
  function readFirst(orgId: string): Promise<Known> {
    const reading = readUse(orgId)
      .catch((): Known => ({ orders: 0, metadata_bytes: 0, readAt: now() }))
      .then((use) => {
        if (known.size >= mostOrganisations) known.clear()
        known.set(orgId, use)
        firstReads.delete(orgId)
        return use
      })
    firstReads.set(orgId, reading)
    return reading
  }

  async function readUse(orgId: string): Promise<Known> {
    const [use] = await database.readInTenant<OrdersUse>(orgId, selectOrdersUse(orgId))
    return { orders: use?.orders ?? 0, metadata_bytes: use?.metadata_bytes ?? 0, readAt: now() }
  }

  return { take, prepareMetadata }
}

/** The bytes of metadata that a quota counts: JSON text as PostgreSQL writes it, with spaces, without the outer braces. */
export function metadataBytes(metadata: Record<string, string> = {}): number {
  const keys = Object.keys(metadata).length
  // A space after each colon, and after each comma.
  return keys === 0 ? 0 : Buffer.byteLength(JSON.stringify(metadata)) - 2 + 2 * keys - 1
}
