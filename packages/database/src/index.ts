export { type Clock, createDatabaseClock } from './clock.ts'
export { connectDatabase } from './connect-database.ts'
export { connectionOptions } from './connection.ts'
export { type Database, openDatabase } from './database.ts'
export {
  BusyError,
  brokenConstraint,
  DatabaseError,
  explainDatabaseError,
  isRowFault,
  isUnavailable,
  NotDurableError,
  pgErrorCode,
} from './errors.ts'
export { listen } from './listen.ts'
export { migrateToLatest } from './migrate.ts'
export { rebuildStatistics } from './rebuild-statistics.ts'
export { assertSchema, assertServable } from './servable.ts'
export type { Statement } from './statements.ts'
export { defaultOrgId, type Tables } from './tables.ts'
export { whenAvailable } from './when-available.ts'
