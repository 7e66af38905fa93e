/** Preload of a service that is broken on purpose: it closes the connection of each write whose row PostgreSQL rejects. */
import { breakSources } from './break-sources.ts'

breakSources([
  ['packages/database/src/errors.ts', "/^(22|23|55P03)/.test(pgErrorCode(error) ?? '')", "error === 'never'"],
])
