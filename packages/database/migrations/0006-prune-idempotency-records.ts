import { type Kysely, sql } from 'kysely'

/** Runs outside a transaction and may be cut short: the next run drops what is left of it. */
export const concurrent = true

/** Old records are found by their time, at no cost to those who write them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`DROP INDEX CONCURRENTLY IF EXISTS idempotency_records_by_time`.execute(db)
  await sql`
    CREATE INDEX CONCURRENTLY IF NOT EXISTS idempotency_records_by_time
    ON idempotency_records USING brin (created_at)`.execute(db)
}
