import { type Kysely, sql } from 'kysely'

/**
 * Webhooks of organisations, and what is or was to be delivered to them.
 *
 * Both of the service's roles can read the keys: the API shows a secret when it is made, and workers sign with it. A dump
 * of the database holds them too, so whoever has one can sign as the service does until the keys are rotated.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE webhooks (
      org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
      id uuid NOT NULL DEFAULT uuidv7(),
      url text NOT NULL CHECK (length(url) BETWEEN 1 AND 2000),
      description text CHECK (length(description) <= 200),
      event_types text[] CHECK (cardinality(event_types) > 0), -- null: all
      signature text COLLATE "C" NOT NULL DEFAULT 'ed25519' CHECK (signature IN ('ed25519', 'hmac')),
      key bytea NOT NULL CHECK (octet_length(key) = 32),
      previous_key bytea CHECK (octet_length(previous_key) = 32),
      previous_key_ends_at timestamptz,
      enabled boolean NOT NULL DEFAULT true,
      disabled_reason text COLLATE "C" CHECK (disabled_reason IN ('paused', 'gone', 'failing')),
      disabled_at timestamptz,
      first_failure_at timestamptz,
      version integer NOT NULL DEFAULT 1 CHECK (version > 0),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, id),
      CHECK ((previous_key IS NULL) = (previous_key_ends_at IS NULL)),
      CHECK (enabled = (disabled_reason IS NULL) AND enabled = (disabled_at IS NULL))
    )`.execute(db)

  // No foreign key to the webhook: to delete one must not wait for all that it was ever sent. Nothing shows or sends what
  // is left of it, and the month ends it.
  await sql`
    CREATE TABLE webhook_deliveries (
      org_id uuid NOT NULL,
      id uuid NOT NULL DEFAULT uuidv7(),
      webhook_id uuid NOT NULL,
      order_id text COLLATE "C", -- null: a test
      sequence integer,
      type text COLLATE "C" NOT NULL,
      state text COLLATE "C" NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
      attempts integer NOT NULL DEFAULT 0,
      due_at timestamptz NOT NULL DEFAULT now(),
      leased_until timestamptz,
      last_status integer,
      last_reply text CHECK (length(last_reply) <= 4096),
      last_error text CHECK (length(last_error) <= 500),
      last_duration_ms integer,
      created_at timestamptz NOT NULL DEFAULT now(),
      delivered_at timestamptz,
      PRIMARY KEY (org_id, id),
      CHECK ((order_id IS NULL) = (sequence IS NULL))
    ) WITH (autovacuum_vacuum_scale_factor = 0.02)`.execute(db)
  // A worker looks once for each webhook that has something pending, and then at the head of what is due there: how much
  // waits behind, for a dead receiver say, costs nothing.
  await sql`
    CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (org_id, webhook_id, due_at)
    WHERE state = 'pending'`.execute(db)
  await sql`
    CREATE INDEX webhook_deliveries_in_flight ON webhook_deliveries (org_id, webhook_id)
    WHERE leased_until IS NOT NULL`.execute(db)
  await sql`
    CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (org_id, webhook_id, created_at, id)`.execute(db)
  await sql`CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries USING brin (created_at)`.execute(db)
  await describeYoungTable(db)

  const org = sql`(SELECT nullif(current_setting('app.org_id', true), '')::uuid)`
  for (const table of ['webhooks', 'webhook_deliveries']) {
    const name = sql.table(table)
    await sql`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`.execute(db)
    await sql`ALTER TABLE ${name} FORCE ROW LEVEL SECURITY`.execute(db)
    await sql`CREATE POLICY tenant ON ${name} USING (org_id = ${org}) WITH CHECK (org_id = ${org})`.execute(db)
    await sql`CREATE POLICY worker ON ${name} TO orders_worker USING (true) WITH CHECK (true)`.execute(db)
    await sql`GRANT SELECT, INSERT, UPDATE, DELETE ON ${name} TO orders_app`.execute(db)
  }
  await sql`GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO orders_worker`.execute(db)
  // It turns off what does not answer.
  await sql`GRANT SELECT,
    UPDATE (enabled, disabled_reason, disabled_at, first_failure_at, version, updated_at) ON webhooks TO orders_worker`.execute(
    db,
  )
}

/** As in 0001: what the planner is to think of the table until the first ANALYZE. Few rows are in flight at a time. */
async function describeYoungTable(db: Kysely<unknown>): Promise<void> {
  await sql`SELECT pg_restore_relation_stats('schemaname', current_schema()::text, 'relname', 'webhook_deliveries',
    'relpages', 2000, 'reltuples', 50000::real)`.execute(db)
  await sql`SELECT pg_restore_attribute_stats('schemaname', current_schema()::text, 'relname', 'webhook_deliveries',
    'attname', 'leased_until', 'inherited', false, 'null_frac', 0.999::real, 'avg_width', 8,
    'n_distinct', -0.001::real)`.execute(db)
}
