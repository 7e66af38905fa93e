import { readdirSync } from 'node:fs'
import fs from 'node:fs/promises'
import path from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import pg from 'pg'
import { contextKeyOf } from './context.ts'
import { registerContextKey } from './context-keys.ts'
import { expansionOf } from './contractions.ts'
import { DatabaseError, pgErrorCode } from './errors.ts'

export const migrationFolder = path.join(import.meta.dirname, '../migrations')

/** Names of the migrations in a folder, oldest first. */
export const migrationNamesIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((file) => /\.(ts|js)$/.test(file))
    .map((file) => path.parse(file).name)
    .sort()

/** Names of the migrations that this code was written against. */
export const migrationNames = migrationNamesIn(migrationFolder)

const lockNotAvailable = '55P03'

type Administered = { kysely_migration: { name: string; timestamp: string } }

type MigrateOptions = {
  folder?: string
  retryForMs?: number
  contextKey?: string | undefined
  /** Receives the contractions that wait until what they follow is a day old. */
  onHeldBack?: (names: string[]) => void
}

/**
 * Brings the schema of `url` up to this code, under an advisory lock, and returns the names of the migrations that ran.
 * They run in one transaction; only one that exports `concurrent` runs by itself and outside of any, for what PostgreSQL
 * does beside readers and writers. A schema that is newer already (a later release migrated it) is left as it is.
 * In a database that was migrated before, a contraction waits until the migration that it follows is a day old.
 * Lets the database accept contexts that the key of this process signs (`contextKey`: the setting CONTEXT_KEY).
 * Waits at most 500 ms for each lock, so that readers never queue behind it, and tries again for a minute.
 * Throws DatabaseError, or what explainDatabaseError explains.
 */
export async function migrateToLatest(
  url: string,
  { folder = migrationFolder, retryForMs = 60_000, contextKey, onHeldBack }: MigrateOptions = {},
): Promise<string[]> {
  const key = contextKeyOf(url, contextKey)
  const pool = new pg.Pool({
    connectionString: url,
    max: 1, // the advisory lock is the connection's
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: 5000,
    application_name: 'orders-migrate',
  })
  const problems: Error[] = []
  pool.on('error', (error) => problems.push(error))
  pool.on('connect', (client) => client.on('error', (error) => problems.push(error)))
  const db = new Kysely<Administered>({ dialect: new PostgresDialect({ pool }) })
  const ran: string[] = []
  try {
    await assertSupported(db)
    const heldBack = await contractionsToHoldBack(db, migrationNamesIn(folder))
    if (heldBack.length > 0) onHeldBack?.(heldBack)
    const wanted = migrationNamesIn(folder).filter((name) => !heldBack.includes(name))
    for (const giveUpAt = performance.now() + retryForMs; ; ) {
      if ((await pendingMigrations(db, wanted)).length === 0) {
        if (key) await registerContextKey(db, key)
        return ran
      }
      const mine = await lockOthersOut(db)
      const error = mine ? await migrateSome(db, folder, wanted, ran) : undefined
      if (mine && !error) continue
      if (error && pgErrorCode(error) !== lockNotAvailable) throw error
      if (performance.now() > giveUpAt) throw stillLocked(error)
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 400))
    }
  } finally {
    await db.destroy()
  }
}

/** Whether this connection has the right to migrate; it keeps it until it ends. */
async function lockOthersOut(db: Kysely<Administered>): Promise<boolean> {
  const { rows } = await sql<{
    mine: boolean
  }>`SELECT pg_try_advisory_lock(hashtext('orders-migrate')) AS mine`.execute(db)
  return rows[0]?.mine ?? false
}

/** Runs what is pending and adds its names to `ran`. Returns what stopped it, if anything did. */
async function migrateSome(
  db: Kysely<Administered>,
  folder: string,
  wanted: readonly string[],
  ran: string[],
): Promise<unknown> {
  const all = await new FileMigrationProvider({ fs, path, migrationFolder: folder }).getMigrations()
  const migrations = Object.fromEntries(Object.entries(all).filter(([name]) => wanted.includes(name)))
  const provider = { getMigrations: async () => migrations }
  const pending = await pendingMigrations(db, wanted)
  for (const last of pending.filter((name, i) => isConcurrent(migrations[name]) || endsTransaction(pending[i + 1]))) {
    const concurrent = isConcurrent(migrations[last])
    await sql`SET lock_timeout = ${sql.lit(concurrent ? '60s' : '500ms')}`.execute(db)
    const migrator = new Migrator({
      db,
      provider,
      disableTransactions: concurrent,
      allowUnorderedMigrations: true, // a contraction that was held back runs after later migrations
    })
    const { error, results = [] } = await migrator.migrateTo(last)
    if (error) return error
    ran.push(...results.map((result) => result.migrationName))
  }
  return undefined

  function endsTransaction(next: string | undefined): boolean {
    return next === undefined || isConcurrent(migrations[next])
  }
}

/** It says so in its file, as such a one may be cut short halfway and has to begin with clearing up. */
export const isConcurrent = (migration: object | undefined): boolean =>
  migration !== undefined && 'concurrent' in migration && migration.concurrent === true

const stillLocked = (cause: unknown) =>
  new DatabaseError(
    'Other transactions hold what a migration must change: end the long ones (see pg_stat_activity) and migrate again.',
    { cause },
  )

async function assertSupported(db: Kysely<Administered>): Promise<void> {
  const { rows } = await sql<{ server_version_num: string }>`SHOW server_version_num`.execute(db)
  const major = Math.floor(Number(rows[0]?.server_version_num) / 10_000)
  if (major < 18) {
    throw new DatabaseError(`The database runs PostgreSQL ${major}, and Orders needs 18 or newer: upgrade the server.`)
  }
}

async function pendingMigrations(db: Kysely<Administered>, needed: readonly string[]): Promise<string[]> {
  return missingMigrations(
    (await appliedMigrations(db)).map(({ name }) => name),
    needed,
  )
}

async function appliedMigrations(db: Kysely<Administered>): Promise<{ name: string; recent: boolean }[]> {
  const { rows } = await sql<{ there: boolean }>`SELECT to_regclass('kysely_migration') IS NOT NULL AS there`.execute(
    db,
  )
  if (!rows[0]?.there) return []
  // Kysely writes the time as ISO 8601 text in UTC.
  const dayAgo = sql`to_char(now() AT TIME ZONE 'UTC' - interval '1 day', 'YYYY-MM-DD"T"HH24:MI:SS')`
  const recent = sql<boolean>`"timestamp" > ${dayAgo}`.as('recent')
  return db.selectFrom('kysely_migration').select(['name', recent]).execute()
}

/** Processes of the previous release may still use a database that was migrated before. */
async function contractionsToHoldBack(db: Kysely<Administered>, names: readonly string[]): Promise<string[]> {
  const applied = await appliedMigrations(db)
  if (applied.length === 0) return []
  const settled = (number: string) => applied.some(({ name, recent }) => name.startsWith(number) && !recent)
  const done = applied.map(({ name }) => name)
  return missingMigrations(done, names).filter((name) => {
    const expansion = expansionOf(name)
    return expansion !== undefined && !settled(expansion)
  })
}

/** What `done` lacks of the migrations this code needs. */
export function missingMigrations(done: readonly string[], needed = migrationNames): string[] {
  return needed.filter((name) => !done.includes(name))
}
