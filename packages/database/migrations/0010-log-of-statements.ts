import { type Kysely, sql } from 'kysely'

/**
 * One row of the log for each row of the outbox, as 0008 has it there: a row for each event, with its entry in the index,
 * was two fifths of what PostgreSQL wrote for one that left. `position` is that of the row's last event; those before it
 * follow each other without a gap.
 *
 * Older code must neither write the log nor read past what it does not understand: for want of its column, its workers
 * leave events where they are and its streams tell nothing new, until newer ones do.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- squawk-ignore renaming-column
    ALTER TABLE event_log RENAME order_id TO only_order_id`.execute(db)
  await sql`
    -- squawk-ignore ban-drop-not-null
    ALTER TABLE event_log ALTER COLUMN only_order_id DROP NOT NULL`.execute(db)
  await sql`
    ALTER TABLE event_log
      ADD COLUMN order_ids text[] COLLATE "C",
      ADD COLUMN events integer NOT NULL DEFAULT 1`.execute(db)
  await sql`
    ALTER TABLE event_log ADD CONSTRAINT event_log_events_check
    CHECK ((only_order_id IS NULL) <> (order_ids IS NULL) AND events = coalesce(cardinality(order_ids), 1)) NOT VALID`.execute(
    db,
  )
}
