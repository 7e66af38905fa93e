/** Preload of a service that is broken on purpose: writes take no turns, and wait a second for a lock. */
import { breakSources } from './break-sources.ts'

breakSources([
  [
    'packages/database/src/database.ts',
    'shares = { all: 0.4, organisation: 0.3 }',
    'shares = { all: 1, organisation: 1 }',
  ],
  ['packages/orders/src/people-repository.ts', 'slugTimeoutMs = 100', 'slugTimeoutMs = 1000'],
  ['packages/orders/src/place-order.ts', '{ single: 250, batch: 100 }', '{ single: 1000, batch: 1000 }'],
])
