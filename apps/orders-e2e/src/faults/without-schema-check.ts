/** Preload of a service that is broken on purpose: it uses a schema that no longer supports its release. */
import { breakSources } from './break-sources.ts'

breakSources([['packages/database/src/servable.ts', 'if (needed !== undefined)', 'if (false)']])
