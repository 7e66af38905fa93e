import { type Kysely, sql } from 'kysely'

/** Runs outside a transaction and may be cut short: the next run drops what is left of it. */
export const concurrent = true

/** The orders of one project, newest first, and whether there are any when the project is deleted. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`DROP INDEX CONCURRENTLY IF EXISTS orders_of_project`.execute(db)
  await sql`
    CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_of_project ON orders (org_id, project_id, created_at, id)
    WHERE project_id IS NOT NULL`.execute(db)
}
