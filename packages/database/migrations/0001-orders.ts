import { type Kysely, sql } from 'kysely'

/**
 * Organisations, orders, their events, the outbox and idempotency records.
 *
 * No foreign keys between the tables that a POST writes: one statement writes them together, rows are never deleted,
 * and a key check a row on one hot organisation row would cost more than the insert. For the same reason the checks
 * here are the cheap ones: patterns are the API's to enforce (a regular expression a row was 10 % of an insert), and
 * currencies stand in one string, as each statement reads its checks anew.
 * Unique keys lead with org_id, so that no organisation can feel another one's rows.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    DO $$ BEGIN
      CREATE ROLE orders_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not to one database
    END $$`.execute(db)
  await sql`
    DO $$ BEGIN
      IF NOT pg_has_role(current_user, 'orders_app', 'SET') THEN
        EXECUTE format('GRANT orders_app TO %I', current_user);
      END IF;
    END $$`.execute(db)

  await sql`
    CREATE TABLE organisations (
      id uuid PRIMARY KEY DEFAULT uuidv7(),
      name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
      slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now()
    )`.execute(db)
  await sql`
    INSERT INTO organisations (id, name, slug)
    VALUES ('00000000-0000-7000-8000-000000000000', 'Default', 'default')`.execute(db)

  await sql`
    CREATE TABLE orders (
      org_id uuid NOT NULL,
      id text COLLATE "C" NOT NULL CONSTRAINT orders_id_check CHECK (length(id) BETWEEN 1 AND 64),
      number bigint GENERATED ALWAYS AS IDENTITY,
      project_id uuid,
      amount numeric NOT NULL,
      currency text COLLATE "C" NOT NULL CONSTRAINT orders_currency_check CHECK (length(currency) = 3 AND upper(currency) = currency),
      status text COLLATE "C" NOT NULL DEFAULT 'placed'
        CONSTRAINT orders_status_check CHECK (status IN ('placed', 'confirmed', 'completed', 'cancelled')),
      description text CONSTRAINT orders_description_check CHECK (length(description) <= 2000),
      metadata jsonb NOT NULL DEFAULT '{}' CONSTRAINT orders_metadata_check CHECK (jsonb_typeof(metadata) = 'object'),
      created_at timestamptz NOT NULL DEFAULT now(),
      updated_at timestamptz NOT NULL DEFAULT now(),
      version integer NOT NULL DEFAULT 1 CONSTRAINT orders_version_check CHECK (version > 0),
      PRIMARY KEY (org_id, id),
      CONSTRAINT orders_amount_check CHECK (
        amount > 0 AND amount < 1000000000000000 AND scale(amount) <= CASE
          WHEN currency IN ('EUR', 'USD', 'GBP') THEN 2
          WHEN strpos('BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF', currency) > 0 THEN 0
          WHEN strpos('BHD IQD JOD KWD LYD OMR TND', currency) > 0 THEN 3
          WHEN strpos('CLF UYW', currency) > 0 THEN 4
          ELSE 2 END)
    )`.execute(db)
  // Read backwards, newest first. In this order new rows go to the end, where a page is left full when it is split.
  await sql`CREATE INDEX orders_newest ON orders (org_id, created_at, id)`.execute(db)
  await describeYoungTable(db)

  // An event keeps what may change of an order, as it was then; the rest never changes and stays in orders. A copy of the
  // whole order as JSON was a fifth of the log of placing one, and an index by the order's id, which is the client's and
  // often random, another eighth: by its number, new events follow each other.
  await sql`
    CREATE TABLE order_events (
      org_id uuid NOT NULL,
      order_number bigint NOT NULL,
      sequence integer NOT NULL CHECK (sequence > 0),
      type text COLLATE "C" NOT NULL,
      status text COLLATE "C" NOT NULL,
      description text,
      metadata jsonb NOT NULL,
      occurred_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, order_number, sequence)
    )`.execute(db)

  // What has not left the service yet: rows come and go, so they are cleared away early.
  await sql`
    CREATE TABLE outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      org_id uuid NOT NULL,
      order_id text COLLATE "C" NOT NULL,
      sequence integer NOT NULL,
      created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.02)`.execute(db)

  // answer is null only inside the transaction that claims the key.
  await sql`
    CREATE TABLE idempotency_records (
      org_id uuid NOT NULL,
      route text COLLATE "C" NOT NULL,
      principal text COLLATE "C" NOT NULL,
      key text COLLATE "C" NOT NULL,
      fingerprint bytea NOT NULL,
      answer jsonb,
      created_at timestamptz NOT NULL DEFAULT now(),
      PRIMARY KEY (org_id, route, principal, key)
    )`.execute(db)

  // Keys that every process of one database shares, such as the one that signs list cursors.
  await sql`CREATE TABLE service_keys (name text PRIMARY KEY, key bytea NOT NULL)`.execute(db)
  await sql`
    INSERT INTO service_keys VALUES
      ('cursor', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')))`.execute(db)

  for (const table of ['orders', 'order_events', 'outbox', 'idempotency_records']) {
    await isolateTenants(db, table, 'org_id')
  }
  await isolateTenants(db, 'organisations', 'id')

  await sql`GRANT SELECT ON organisations, service_keys, kysely_migration TO orders_app`.execute(db)
  await sql`GRANT SELECT, INSERT ON orders, order_events, outbox TO orders_app`.execute(db)
  await sql`GRANT UPDATE (status, description, metadata, updated_at, version) ON orders TO orders_app`.execute(db)
  await sql`GRANT SELECT, INSERT, DELETE, UPDATE (answer) ON idempotency_records TO orders_app`.execute(db)
}

/**
 * Tells the planner what orders look like until the first ANALYZE does: many of one organisation, each id once. Its own
 * guess for a table without statistics looks ids up in orders_newest, at 50 times the cost (259 against 5 us measured),
 * and prepared statements keep that plan.
 */
async function describeYoungTable(db: Kysely<unknown>): Promise<void> {
  await sql`SELECT pg_restore_relation_stats('schemaname', current_schema()::text, 'relname', 'orders',
    'relpages', 1000, 'reltuples', 50000::real)`.execute(db)
  for (const [column, distinct] of Object.entries({ org_id: 1, id: -1, created_at: -0.1 })) {
    await sql`SELECT pg_restore_attribute_stats('schemaname', current_schema()::text, 'relname', 'orders',
      'attname', ${sql.lit(column)}, 'inherited', false, 'null_frac', 0::real, 'avg_width', 16,
      'n_distinct', ${sql.lit(distinct)}::real)`.execute(db)
  }
}

/** The sub-select makes the setting an InitPlan: read once a statement, not once a row. No tenant set: zero rows. */
async function isolateTenants(db: Kysely<unknown>, table: string, column: string): Promise<void> {
  const name = sql.table(table)
  const mine = sql`${sql.ref(column)} = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)`
  await sql`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`.execute(db)
  await sql`ALTER TABLE ${name} FORCE ROW LEVEL SECURITY`.execute(db)
  await sql`CREATE POLICY tenant ON ${name} USING (${mine}) WITH CHECK (${mine})`.execute(db)
}
