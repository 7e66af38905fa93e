/** Preload of a service that is broken on purpose: an organisation does not rest between its scans. */
import { breakSources } from './break-sources.ts'

breakSources([['apps/orders-api/src/long-responses/scans.ts', 'maxPauseMs = 250', 'maxPauseMs = 0']])
