import { type Kysely, sql } from 'kysely'

/** Runs outside a transaction. An interrupted run leaves an invalid index, which the next run drops. */
export const concurrent = true

/** The waiting rows of each organisation, oldest first: organisations take turns when events leave the outbox. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`DROP INDEX CONCURRENTLY IF EXISTS outbox_of_organisation`.execute(db)
  await sql`CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_of_organisation ON outbox (org_id, id)`.execute(db)
}
