import { type Kysely, sql } from 'kysely'

/**
 * Counts and sums of orders: a rollup, and the changes that the worker has not folded into it yet. Both together are
 * exact at every instant.
 *
 * Triggers append the changes in the transaction of the orders, so that no writer can leave them out, not even one of the
 * previous release. A statement appends one row for each day, currency and status that it changed, and locks no row that
 * another transaction uses. The functions run with the rights of the writer, whose grant and policy apply.
 *
 * Each order has a change, so the foreign key of changes stands in for the trigger of 0002 that looked for the organisation:
 * it looks once a statement, its lock makes a deletion wait, and the deletion sees what was placed meanwhile.
 *
 * A job of the worker counts the orders from before the triggers. Until it has completed, statistics are read from orders.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE order_statistics (
      org_id uuid NOT NULL REFERENCES organisations,
      day date NOT NULL, -- in UTC, of created_at
      currency text COLLATE "C" NOT NULL,
      status text COLLATE "C" NOT NULL,
      orders bigint NOT NULL,
      amount numeric NOT NULL,
      metadata_bytes bigint NOT NULL, -- of the text, which does not depend on how PostgreSQL stores it
      PRIMARY KEY (org_id, day, currency, status)
    )`.execute(db)
  await sql`
    CREATE TABLE order_statistics_changes (
      org_id uuid NOT NULL CONSTRAINT orders_org_fkey REFERENCES organisations, -- the name that the trigger of 0002 uses too
      id bigint GENERATED ALWAYS AS IDENTITY,
      day date NOT NULL,
      currency text COLLATE "C" NOT NULL,
      status text COLLATE "C" NOT NULL,
      orders bigint NOT NULL,
      amount numeric NOT NULL,
      metadata_bytes bigint NOT NULL,
      PRIMARY KEY (org_id, id)
    ) WITH (autovacuum_vacuum_scale_factor = 0.02)`.execute(db)

  await sql`
    CREATE TABLE order_statistics_backfill (
      only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
      after_org uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- up to it, organisations are counted
      completed boolean NOT NULL
    )`.execute(db)

  const org = sql`(SELECT nullif(current_setting('app.org_id', true), '')::uuid)`
  for (const table of ['order_statistics', 'order_statistics_changes']) {
    const name = sql.table(table)
    await sql`ALTER TABLE ${name} ENABLE ROW LEVEL SECURITY`.execute(db)
    await sql`ALTER TABLE ${name} FORCE ROW LEVEL SECURITY`.execute(db)
    await sql`CREATE POLICY tenant ON ${name} USING (org_id = ${org}) WITH CHECK (org_id = ${org})`.execute(db)
    await sql`CREATE POLICY worker ON ${name} TO orders_worker USING (true) WITH CHECK (true)`.execute(db)
  }
  await sql`GRANT SELECT ON order_statistics TO orders_app`.execute(db)
  await sql`GRANT SELECT, INSERT ON order_statistics_changes TO orders_app`.execute(db)
  // It inserts changes to correct statistics that differ from the orders.
  await sql`GRANT SELECT, INSERT, DELETE ON order_statistics, order_statistics_changes TO orders_worker`.execute(db)

  await sql`GRANT SELECT ON order_statistics_backfill TO orders_app`.execute(db)
  await sql`GRANT SELECT, UPDATE (after_org, completed) ON order_statistics_backfill TO orders_worker`.execute(db)

  const added = sumsOf('added', '')
  const removed = sumsOf('removed', '-')
  await recordChanges(db, 'INSERT', 'NEW TABLE AS added', added)
  await recordChanges(db, 'DELETE', 'OLD TABLE AS removed', removed)
  await recordChanges(db, 'UPDATE', 'NEW TABLE AS added OLD TABLE AS removed', differenceOf(added, removed))
  await sql`DROP TRIGGER require_organisation ON orders`.execute(db)
  await sql`DROP FUNCTION require_organisation`.execute(db)
  await startBackfill(db)
}

/** The triggers' lock keeps writers out until the commit. A plain owner sees no orders, but the worker's policy shows all. */
async function startBackfill(db: Kysely<unknown>): Promise<void> {
  await sql`
    DO $$ DECLARE
      is_empty boolean;
    BEGIN
      SET LOCAL ROLE orders_worker;
      is_empty := NOT EXISTS (SELECT FROM orders);
      RESET ROLE;
      INSERT INTO order_statistics_backfill (completed) VALUES (is_empty);
    END $$`.execute(db)
}

type Query = ReturnType<typeof sql>

/** Summing each table separately took 0.3 ms less for an update of 500 orders than summing rows with a sign. */
const sumsOf = (table: 'added' | 'removed', sign: '' | '-'): Query => sql`
  SELECT org_id, (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, ${sql.raw(sign)}count(*) AS orders,
    ${sql.raw(sign)}sum(amount) AS amount, ${sql.raw(sign)}sum(octet_length(metadata::text)) AS metadata_bytes
  FROM ${sql.table(table)} GROUP BY 1, 2, 3, 4`

/** An update that leaves the sums as they are has no difference. */
const differenceOf = (added: Query, removed: Query): Query => sql`
  SELECT org_id, day, currency, status, sum(orders), sum(amount), sum(metadata_bytes)
  FROM (${added} UNION ALL ${removed}) AS sums GROUP BY 1, 2, 3, 4
  HAVING sum(orders) <> 0 OR sum(amount) <> 0 OR sum(metadata_bytes) <> 0`

async function recordChanges(
  db: Kysely<unknown>,
  event: 'INSERT' | 'UPDATE' | 'DELETE',
  tables: string,
  changes: Query,
): Promise<void> {
  const name = sql.id(`record_statistics_of_${event.toLowerCase()}`)
  await sql`
    CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes) ${changes};
      RETURN NULL;
    END $$`.execute(db)
  await sql`
    CREATE TRIGGER ${name} AFTER ${sql.raw(event)} ON orders
    REFERENCING ${sql.raw(tables)} FOR EACH STATEMENT EXECUTE FUNCTION ${name}()`.execute(db)
}
