/** Preload of a service that is broken on purpose: a shutdown does not end imports and streams. */
import { breakSources } from './break-sources.ts'

const ending = "for (const entry of open) if (entry.kind !== 'export') end(entry, shuttingDown())"

breakSources([['apps/orders-api/src/long-responses/registry.ts', ending, '']])
