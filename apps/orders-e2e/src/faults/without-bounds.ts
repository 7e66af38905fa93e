/**
 * Preload of a service that is broken on purpose, without backpressure: streams do not wait for their clients, and the
 * budget of buffered bytes is never full.
 */
import { breakSources } from './break-sources.ts'

breakSources([
  ['apps/orders-api/src/stream/hub.ts', /out\.writableNeedDrain/g, 'false'],
  ['apps/orders-api/src/outgoing/budget.ts', /(?<=function fullFor\(.*\{\n)/, '    return undefined\n'],
])
