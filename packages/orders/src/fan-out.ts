import type { Database } from '@orders/database'
import { type FannedOut, fanOut } from './fanout-repository.ts'

type Options = {
  /** Of a worker: its role sees all organisations. */
  database: Database
  /** New deliveries are due. */
  onDeliveries?: () => void
}

const fanOutLock = 7_106_115_003
// A receiver is sent four at a time, so this many last it for a while; a dead receiver gets no more.
const limits = { events: 500, due: 500 }

/** Makes deliveries to webhooks of events that have left the outbox, apart from the relay: events do not wait for it. */
export function createFanOut({ database, onDeliveries }: Options) {
  /** Returns how many rows it has used; 0 if no webhook needs deliveries. */
  return async function fanOutEvents(): Promise<number> {
    const [made] = await database.runExclusively<FannedOut>(fanOutLock, fanOut(limits))
    if (made?.deliveries) onDeliveries?.()
    return made?.rows ?? 0
  }
}
