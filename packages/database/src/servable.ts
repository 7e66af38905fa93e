import { unsupportedSince } from './contractions.ts'
import type { Database } from './database.ts'
import { type DurabilitySettings, durabilityColumns, findDurabilityFault } from './durability.ts'
import { DatabaseError, pgErrorCode } from './errors.ts'
import { migrationNames, missingMigrations } from './migrate.ts'

type Facts = DurabilitySettings & { role: string; above: boolean; owns: boolean }

// Everything that a single look can tell about who we are here and whether a commit is durable.
const facts = {
  name: 'servable',
  text: `SELECT current_user AS role,
      (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS above,
      EXISTS (SELECT FROM pg_class WHERE relowner = current_user::regrole) AS owns,
      ${durabilityColumns}`,
  values: [],
}

const schema = { name: 'schema', text: 'SELECT name FROM kysely_migration', values: [] }

/**
 * Throws a DatabaseError unless orders may be served from here: the schema is at least as new as the code, the role
 * owns nothing and bypasses nothing, and an acknowledged commit survives a crash.
 */
export async function assertServable(db: Database): Promise<void> {
  const [found] = await db.runGlobal<Facts>(facts)
  if (!found) throw new DatabaseError('The database did not say who we are: check DATABASE_URL.')
  if (found.role !== 'orders_app' || found.above || found.owns) {
    throw new DatabaseError(
      `Orders will not serve as ${found.role}, which may see other organisations' rows: grant orders_app to the user of DATABASE_URL.`,
    )
  }
  const fault = findDurabilityFault(found)
  if (fault) throw new DatabaseError(fault)
  await assertSchema(db)
}

/**
 * Throws a DatabaseError if the schema is older than the code needs, or has lost something that the code uses. A newer
 * schema is fine as long as no contraction needs a newer release.
 */
export async function assertSchema(db: Database): Promise<void> {
  const rows = await db.runGlobal<{ name: string }>(schema).catch((error) => {
    if (pgErrorCode(error) === undefinedTable) return []
    throw error
  })
  const applied = rows.map((row) => row.name)
  const missing = missingMigrations(applied)
  if (missing.length > 0) {
    throw new DatabaseError(
      `The schema is older than this release needs (missing: ${missing.join(', ')}): run npx nx run database:migrate.`,
    )
  }
  const needed = unsupportedSince(applied, migrationNames)
  if (needed !== undefined) {
    throw new DatabaseError(
      `The schema no longer supports this release: deploy a release with the migration ${needed} or a later one.`,
    )
  }
}

const undefinedTable = '42P01'
