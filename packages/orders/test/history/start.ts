import type { Test } from 'tap'
import { createCosmosHistory } from '../../src/history/cosmos.ts'
import type { EventStore } from '../../src/history/event-store.ts'
import { startOrders } from '../service.ts'
import { makeEvents } from './contract.ts'
import { startCosmosAccount } from './cosmos-account.ts'

type Options = Partial<Parameters<typeof createCosmosHistory>[0]>

/** A history in a stand-in for Cosmos DB; `away` has what was told of it. */
export async function openCosmos(t: Test, options: Options = {}) {
  const account = await startCosmosAccount(t)
  const away: string[] = []
  const store = createCosmosHistory({ ...account.settings, onAway: ({ message }) => away.push(message), ...options })
  t.teardown(store.close)
  return { account, store, away }
}

/** The same, beside a database; `make` makes an order with events there. */
export async function start(t: Test, options: Options = {}) {
  const service = await startOrders(t)
  const { org } = service
  const make = (id: string, count: number) => makeEvents(service, org, id, count)
  return { ...service, ...(await openCosmos(t, options)), service, make }
}

export const all = { after: 0, limit: 200 }
export const sequences = async (store: EventStore, org: string, id: string, range = all) =>
  (await store.read(org, id, range)).map(({ sequence }) => sequence)
