/** Preload of a service that is broken on purpose: nobody handles the rejection of a stream's position. */
import { breakSources } from './break-sources.ts'

breakSources([['apps/orders-api/src/stream/feeds.ts', /,\s*\(\) => \{\},?\s*\)/, ')']])
