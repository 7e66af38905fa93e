import { expansionOf, unsupportedSince } from './contractions.ts'
import type { Database } from './database.ts'
import { type DurabilitySettings, durabilityColumns, findDurabilityFault } from './durability.ts'
import { DatabaseError, pgErrorCode } from './errors.ts'
import { migrationNames, missingMigrations } from './migrate.ts'

type Facts = DurabilitySettings & {
  role: string
  above: boolean
  owns: boolean
  login: string
  /** The login is above Row-Level Security, so SQL that is injected can be: `SET ROLE` goes back to it. */
  login_above: boolean
}

// Everything that a single look can tell about who we are here and whether a commit is durable.
const facts = {
  name: 'servable',
  text: `SELECT current_user AS role,
      (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS above,
      EXISTS (SELECT FROM pg_class WHERE relowner = current_user::regrole) AS owns,
      session_user AS login,
      (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = session_user)
        AND coalesce(current_setting('orders.embedded', true), '') <> 'on' AS login_above,
      ${durabilityColumns}`,
  values: [],
}

const contextKey = {
  name: 'context_key',
  text: "SELECT coalesce((SELECT value FROM signed_service), unverified_context('service'))",
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
  if (found.login_above) {
    throw new DatabaseError(
      `DATABASE_URL logs in as ${found.login}, which bypasses Row-Level Security: use a login without SUPERUSER and BYPASSRLS.`,
    )
  }
  const fault = findDurabilityFault(found)
  if (fault) throw new DatabaseError(fault)
  await assertSchema(db)
}

/**
 * Throws a DatabaseError if the schema is older than the code needs, or has lost something that the code uses. A newer
 * schema is fine as long as no contraction needs a newer release. Also throws if the database does not
 * accept the context key of this process.
 */
export async function assertSchema(db: Database): Promise<void> {
  const rows = await db.runGlobal<{ name: string }>(schema).catch((error) => {
    if (pgErrorCode(error) === undefinedTable) return []
    throw error
  })
  const applied = rows.map((row) => row.name)
  // The code works before and after a contraction.
  const missing = missingMigrations(applied).filter((name) => expansionOf(name) === undefined)
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
  await assertContextKey(db)
}

async function assertContextKey(db: Database): Promise<void> {
  await db.readAsService(contextKey).catch((error) => {
    if (pgErrorCode(error) === insufficientPrivilege) throw new DatabaseError(unknownKey, { cause: error })
    throw error
  })
}

const unknownKey =
  'CONTEXT_KEY is not registered in the database: run npx nx run database:migrate with the same CONTEXT_KEY, or correct it.'

const undefinedTable = '42P01'
const insufficientPrivilege = '42501'
