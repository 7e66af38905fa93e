import { CosmosClient, type CosmosClientOptions } from '@azure/cosmos'
import type { OrderEvent } from '@orders/schema'
import type { Outcome } from '../relay.ts'
import type { EventStore, StoredEvent } from './event-store.ts'

type Options = {
  endpoint: string
  database: string
  credential: NonNullable<CosmosClientOptions['aadCredentials']>
  /** Told why, once each time that Cosmos DB turns out to be away. */
  onAway: (error: Error) => void
  /** Milliseconds that one event, or one read, may take with all its repetitions. */
  patienceMs?: number
  /** Milliseconds for which it is not asked after it was away. */
  pauseMs?: number
  agent?: CosmosClientOptions['agent']
}

const container = 'order-events'
const pageSize = 200
// A batch of the relay has 200 events at most: at 16 at once, and two seconds each, it ends before its lease does.
const atOnce = 16
const query = 'SELECT * FROM c WHERE c.order_id = @order_id AND c.sequence > @after ORDER BY c.sequence'
/** Answers that are about the one event: refused, in conflict with another writer, too large. */
const ofOneEvent = new Set<unknown>([400, 409, 412, 413, 449])

/** A copy of the history in Azure Cosmos DB: an organisation is a partition, an event an item `<order id>.<sequence>`. */
export function createCosmosHistory(options: Options): EventStore {
  const { endpoint, database, credential, agent, onAway, patienceMs = 2000, pauseMs = 5000 } = options
  const client = new CosmosClient({
    endpoint,
    aadCredentials: credential,
    ...(agent && { agent }),
    connectionPolicy: {
      requestTimeout: patienceMs,
      // With it, a connection that is refused is repeated for two minutes.
      enableEndpointDiscovery: false,
      retryOptions: { maxRetryAttemptCount: 9, maxWaitTimeInSeconds: patienceMs / 1000 },
    },
  })
  const { items } = client.database(database).container(container)
  let awayUntil = 0

  /** Fails at once for a while after it was away, so that those who come meanwhile do not wait in vain. */
  async function ask<T>(work: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    if (performance.now() < awayUntil) throw new Error('Cosmos DB was away a moment ago, and was not asked.')
    const signal = AbortSignal.timeout(patienceMs)
    const late = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(new Error(`Cosmos DB did not answer within ${patienceMs} ms.`)))
    })
    try {
      // The client does not heed the signal while it waits to repeat a request.
      return await Promise.race([work(signal), late])
    } catch (thrown) {
      const error = asError(thrown)
      if (!ofOneEvent.has(error.code) && performance.now() >= awayUntil) {
        awayUntil = performance.now() + pauseMs
        onAway(error)
      }
      throw error
    }
  }

  async function put(event: StoredEvent): Promise<Outcome> {
    try {
      await ask((abortSignal) => items.upsert(event, { abortSignal }))
      return undefined
    } catch (error) {
      return new Error(`The history did not take it: ${(error as Error).message}`)
    }
  }

  return {
    async append(events) {
      const outcomes: Outcome[] = events.map(() => undefined)
      const left = events.entries()
      const work = async () => {
        for (const [i, event] of left) outcomes[i] = await put(event)
      }
      await Promise.all(Array.from({ length: atOnce }, work))
      return outcomes
    },

    read: (orgId, orderId, { after, limit }) =>
      ask(async (abortSignal) => {
        const parameters = [
          { name: '@order_id', value: orderId },
          { name: '@after', value: after },
        ]
        const maxItemCount = Math.min(limit, pageSize)
        const pages = items.query<OrderEvent>({ query, parameters }, { partitionKey: orgId, maxItemCount, abortSignal })
        const events: OrderEvent[] = []
        // A page may be short, or empty, and not the last one.
        while (events.length < limit && pages.hasMoreResults()) {
          const { resources = [] } = await pages.fetchNext()
          events.push(...resources.map(toEvent))
        }
        return events.slice(0, limit)
      }),

    close: async () => client.dispose(),
  }
}

/** Without what Cosmos DB adds to an item. */
function toEvent({ id, type, order_id, sequence, occurred_at, data }: OrderEvent): OrderEvent {
  return { id, type, order_id, sequence, occurred_at, data }
}

/** What the client itself refuses, it throws as a plain object. */
function asError(thrown: unknown): Error & { code?: unknown } {
  return thrown instanceof Error
    ? thrown
    : Object.assign(new Error((thrown as { message: string }).message), { code: 400 })
}
