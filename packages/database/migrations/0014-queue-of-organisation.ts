import { type Kysely, sql } from 'kysely'

/** Runs outside a transaction. An interrupted run leaves an invalid index, which the next run drops. */
export const concurrent = true

/** The queued events of each organisation in a lane, oldest first: organisations take turns there as well. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`DROP INDEX CONCURRENTLY IF EXISTS event_queue_of_organisation`.execute(db)
  await sql`
    CREATE INDEX CONCURRENTLY IF NOT EXISTS event_queue_of_organisation ON event_queue (lane, org_id, id)`.execute(db)
}
