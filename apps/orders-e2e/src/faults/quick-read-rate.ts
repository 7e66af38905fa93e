/** Preload of a service that measures the read rate over 2 s instead of 30 s, so that a test of it takes seconds. */
import { breakSources } from './break-sources.ts'

breakSources([
  ['apps/orders-api/src/plugins/long-responses.ts', 'checkMs = 10_000', 'checkMs = 500'],
  ['apps/orders-api/src/plugins/long-responses.ts', 'windowMs = 30_000', 'windowMs = 2_000'],
])
