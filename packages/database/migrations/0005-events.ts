import { type Kysely, sql } from 'kysely'

/**
 * How events leave: one statement moves them from the outbox to the log, where each has its position in its organisation,
 * and to the queue, from where workers hand them on. What they could not hand on becomes a dead letter.
 *
 * Workers act for all organisations: their role has policies of its own on the tables that they need, and on no other.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    DO $$ BEGIN
      CREATE ROLE orders_worker NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not to one database
    END $$`.execute(db)
  await sql`
    DO $$ BEGIN
      IF NOT pg_has_role(current_user, 'orders_worker', 'SET') THEN
        EXECUTE format('GRANT orders_worker TO %I', current_user);
      END IF;
    END $$`.execute(db)

  await sql`
    CREATE TABLE event_positions (
      org_id uuid PRIMARY KEY,
      position bigint NOT NULL
    ) WITH (fillfactor = 70)`.execute(db)
  await sql`
    CREATE TABLE event_log (
      org_id uuid NOT NULL,
      position bigint NOT NULL,
      order_id text COLLATE "C" NOT NULL,
      sequence integer NOT NULL,
      logged_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, position)
    )`.execute(db)
  await sql`CREATE INDEX event_log_by_time ON event_log USING brin (logged_at)`.execute(db)

  await sql`
    CREATE TABLE event_queue (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      lane integer NOT NULL,
      org_id uuid NOT NULL,
      order_id text COLLATE "C" NOT NULL,
      sequence integer NOT NULL,
      attempts integer NOT NULL DEFAULT 0,
      retry_at timestamptz,
      reason text CHECK (length(reason) <= 500),
      queued_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.02)`.execute(db)
  await sql`CREATE INDEX event_queue_of_lane ON event_queue (lane, id)`.execute(db)
  // An order's events are all in one lane, and a lane has one worker at a time: so they leave in order.
  await sql`
    CREATE TABLE event_lanes (
      lane integer PRIMARY KEY,
      lease bigint NOT NULL DEFAULT 0,
      leased_until timestamptz NOT NULL DEFAULT '-infinity',
      served_at timestamptz NOT NULL DEFAULT '-infinity'
    ) WITH (fillfactor = 10)`.execute(db)
  await sql`INSERT INTO event_lanes (lane) SELECT generate_series(0, 63)`.execute(db)

  // Events that have had their effect: whoever gets one again does nothing.
  await sql`
    CREATE TABLE inbox (
      org_id uuid NOT NULL,
      order_id text COLLATE "C" NOT NULL,
      sequence integer NOT NULL,
      handled_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, order_id, sequence)
    )`.execute(db)
  await sql`CREATE INDEX inbox_by_time ON inbox USING brin (handled_at)`.execute(db)

  await sql`
    CREATE TABLE dead_letters (
      org_id uuid NOT NULL,
      id uuid NOT NULL DEFAULT uuidv7(),
      order_id text COLLATE "C" NOT NULL,
      sequence integer NOT NULL,
      attempts integer NOT NULL,
      reason text NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, id)
    )`.execute(db)

  const org = sql`(SELECT nullif(current_setting('app.org_id', true), '')::uuid)`
  for (const table of ['event_positions', 'event_log', 'event_queue', 'inbox', 'dead_letters']) {
    const name = sql.table(table)
    await sql`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`.execute(db)
    await sql`ALTER TABLE ${name} FORCE ROW LEVEL SECURITY`.execute(db)
    await sql`CREATE POLICY tenant ON ${name} USING (org_id = ${org}) WITH CHECK (org_id = ${org})`.execute(db)
  }
  await sql`GRANT SELECT ON event_log, event_positions TO orders_app`.execute(db)
  await sql`GRANT SELECT, INSERT ON inbox TO orders_app`.execute(db)
  await sql`GRANT SELECT, DELETE ON dead_letters TO orders_app`.execute(db)
  await sql`GRANT INSERT ON event_queue TO orders_app`.execute(db)
  await grantWorker(db)
}

/** What a worker may do in every organisation. It reads orders and writes none: those it changes as orders_app does. */
async function grantWorker(db: Kysely<unknown>): Promise<void> {
  const rights = {
    orders: 'SELECT',
    order_events: 'SELECT',
    outbox: 'SELECT, DELETE',
    event_positions: 'SELECT, INSERT, UPDATE',
    event_log: 'SELECT, INSERT, DELETE',
    event_queue: 'SELECT, INSERT, UPDATE, DELETE',
    inbox: 'SELECT, DELETE',
    dead_letters: 'SELECT, INSERT',
    idempotency_records: 'SELECT, DELETE',
    revoked_tokens: 'SELECT, DELETE',
  }
  for (const [table, granted] of Object.entries(rights)) {
    await sql`GRANT ${sql.raw(granted)} ON ${sql.table(table)} TO orders_worker`.execute(db)
    await sql`CREATE POLICY worker ON ${sql.table(table)} TO orders_worker USING (true) WITH CHECK (true)`.execute(db)
  }
  await sql`GRANT SELECT, UPDATE ON event_lanes TO orders_worker`.execute(db)
  await sql`GRANT SELECT ON kysely_migration TO orders_worker`.execute(db)
}
