import { type Kysely, sql } from 'kysely'

/** How many lines each organisation has imported on a day (UTC), which a quota limits. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE import_days (
      org_id uuid NOT NULL,
      starts_at timestamptz NOT NULL,
      lines bigint NOT NULL CHECK (lines > 0),
      PRIMARY KEY (org_id, starts_at)
    ) WITH (fillfactor = 50)`.execute(db)
  await sql`CREATE INDEX import_days_by_time ON import_days USING brin (starts_at)`.execute(db)
  await sql`ALTER TABLE import_days ENABLE ROW LEVEL SECURITY`.execute(db)
  await sql`ALTER TABLE import_days FORCE ROW LEVEL SECURITY`.execute(db)
  // The condition of the other tables of organisations, whichever migration wrote it last.
  await sql`
    DO $$ DECLARE
      condition text := (SELECT pg_get_expr(polqual, polrelid) FROM pg_policy
        WHERE polrelid = 'projects'::regclass AND polname = 'tenant');
    BEGIN
      EXECUTE format('CREATE POLICY tenant ON import_days USING (%1$s) WITH CHECK (%1$s)', condition);
    END $$`.execute(db)
  await sql`CREATE POLICY worker ON import_days TO orders_worker USING (true) WITH CHECK (false)`.execute(db)
  await sql`GRANT SELECT, INSERT, UPDATE (lines) ON import_days TO orders_app`.execute(db)
  await sql`GRANT SELECT, DELETE ON import_days TO orders_worker`.execute(db)
}
