import type { Database } from '@orders/database'
import { createMergedHistory, createPostgresHistory, type EventStore } from './event-store.ts'

type Options = {
  database: Database
  /** https:// address of the Cosmos DB account that keeps a copy; undefined: there is none. */
  cosmosEndpoint: string | undefined
  cosmosDatabase: string
  /** Told why, once each time that Cosmos DB turns out to be away. */
  onAway: (error: Error) => void
}

/** Opens the history of orders. Connects to nothing yet. Throws an Error that says what to do. */
export async function openHistory({ database, cosmosEndpoint, cosmosDatabase, onAway }: Options): Promise<EventStore> {
  const postgres = createPostgresHistory(database)
  if (cosmosEndpoint === undefined) return postgres
  // Large libraries, which most processes do without.
  const [{ createCosmosHistory }, { WorkloadIdentityCredential }] = await Promise.all([
    import('./cosmos.ts'),
    import('@azure/identity'),
  ])
  const credential = () => {
    try {
      return new WorkloadIdentityCredential()
    } catch {
      throw new Error(
        'HISTORY_COSMOS_ENDPOINT needs a workload identity: set AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE, as its webhook does in a cluster, or leave the endpoint out.',
      )
    }
  }
  const cosmos = createCosmosHistory({
    endpoint: cosmosEndpoint,
    database: cosmosDatabase,
    credential: credential(),
    onAway,
  })
  return createMergedHistory(cosmos, postgres)
}
