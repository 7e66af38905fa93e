/** Preload of a service that is broken on purpose: a client may read as slowly as it likes. */
import { breakSources } from './break-sources.ts'

breakSources([
  ['apps/orders-api/src/long-responses/read-rate.ts', 'minBytesPerSecond = 16_384', 'minBytesPerSecond = 0'],
])
