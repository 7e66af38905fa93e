import { type Kysely, sql } from 'kysely'

/**
 * Rows of the event log whose deliveries to a webhook do not exist yet. The worker that moves events writes one row here
 * for 500 events, and a job of its own makes the deliveries, only as fast as the receiver is sent them.
 *
 * A worker of the previous release makes deliveries itself. After a rollback, the rows here wait for a newer worker.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE webhook_fanouts (
      org_id uuid NOT NULL,
      webhook_id uuid NOT NULL,
      position bigint NOT NULL,
      events integer NOT NULL CHECK (events > 0),
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, webhook_id, position)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02)`.execute(db)
  await sql`CREATE INDEX webhook_fanouts_by_time ON webhook_fanouts USING brin (created_at)`.execute(db)
  await sql`ALTER TABLE webhook_fanouts ENABLE ROW LEVEL SECURITY`.execute(db)
  await sql`ALTER TABLE webhook_fanouts FORCE ROW LEVEL SECURITY`.execute(db)
  const org = sql`(SELECT nullif(current_setting('app.org_id', true), '')::uuid)`
  await sql`
    CREATE POLICY tenant ON webhook_fanouts USING (org_id = ${org}) WITH CHECK (org_id = ${org})`.execute(db)
  await sql`
    CREATE POLICY worker ON webhook_fanouts TO orders_worker USING (true) WITH CHECK (true)`.execute(db)
  await sql`GRANT SELECT, INSERT, DELETE ON webhook_fanouts TO orders_worker`.execute(db)
}
