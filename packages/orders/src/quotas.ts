import type { QuotaUse } from '@orders/schema'
import { OrdersError } from './errors.ts'

/** The most that one organisation may have, by default. */
export const defaultQuotas = {
  orders: 10_000_000,
  /** Bytes of the metadata of all orders, as metadataBytes counts them. */
  'metadata-bytes': 1_073_741_824,
  projects: 1000,
  members: 1000,
  webhooks: 20,
  /** Lines of imports on one day (UTC). */
  'import-lines': 10_000_000,
}

export type QuotaName = keyof typeof defaultQuotas
export type Quotas = Readonly<Record<QuotaName, number>>

export const quotaNames = Object.keys(defaultQuotas) as QuotaName[]

/**
 * The organisation uses, or would use, more than a quota allows. A limit below the present use rejects additions and removes
 * nothing.
 */
export class QuotaExceeded extends OrdersError {
  readonly quota: QuotaUse

  constructor(quota: QuotaUse, message = messageOf(quota)) {
    super('QUOTA_EXCEEDED', message)
    this.quota = quota
  }
}

/** Throws QUOTA_EXCEEDED unless one more is allowed; the caller holds the lock of the organisation. */
export function assertRoom(name: QuotaName, used: number, { [name]: limit }: Quotas): void {
  if (used >= limit) throw new QuotaExceeded({ name, used, limit })
}

const messageOf = ({ name, used, limit }: QuotaUse) => `The organisation has ${used} of at most ${limit} ${name}.`
