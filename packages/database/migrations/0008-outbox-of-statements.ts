import { type Kysely, sql } from 'kysely'

/**
 * One row of the outbox for all the orders that a statement changed: a row for each, with its entry in the index, was a
 * sixth of the log of placing one. Rows of one order in `order_id`, as older code writes them, are moved as well; the
 * column can go once none is left. Older workers cannot move the new rows: NULL stops them, where any other word for
 * "see order_ids" would have them lose events, and the rows wait for a newer one.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    -- squawk-ignore ban-drop-not-null
    ALTER TABLE outbox ALTER COLUMN order_id DROP NOT NULL`.execute(db)
  await sql`
    ALTER TABLE outbox
      ADD COLUMN order_ids text[] COLLATE "C",
      ADD COLUMN events integer NOT NULL DEFAULT 1`.execute(db)
  await sql`
    ALTER TABLE outbox ADD CONSTRAINT outbox_events_check
    CHECK ((order_id IS NULL) <> (order_ids IS NULL) AND events = coalesce(cardinality(order_ids), 1)) NOT VALID`.execute(
    db,
  )
}
