import { type Kysely, sql } from 'kysely'

/** What a transaction may act as: the setting `app.<name>` holds the signed value. */
const contexts = ['org_id', 'user_id', 'held_digest', 'service'] as const

/**
 * The keys that sign the context of a transaction, and the views that verify it.
 *
 * The service sets app.org_id, app.user_id, app.held_digest or app.service to `value.expiry.signature`. The signature is
 * the HMAC-SHA-256 of `setting:value.expiry`, in hexadecimal. SQL that an attacker injects can set these settings, but
 * cannot sign. sha256() is built in, so no extension is needed: the table holds the key with both paddings of HMAC.
 *
 * A view reads the keys with the rights of its owner, and becomes a part of the plan of each statement. A function in
 * PL/pgSQL took twice the time.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE context_keys (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      inner_key bytea NOT NULL UNIQUE CHECK (octet_length(inner_key) = 64),
      outer_key bytea NOT NULL CHECK (octet_length(outer_key) = 64),
      added_at timestamptz NOT NULL DEFAULT now()
    )`.execute(db)

  for (const name of contexts) await createVerification(db, name)
  await createRejection(db, 'accept unsigned')

  // Keys that every process of one database shares, such as the one that signs list cursors.
  await sql`
    CREATE FUNCTION service_key(key_name text) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
    BEGIN
      IF NOT EXISTS (SELECT FROM signed_service) THEN
        PERFORM unverified_context('service');
        RAISE insufficient_privilege USING MESSAGE = 'the context of the service is missing';
      END IF;
      RETURN (SELECT key FROM service_keys WHERE name = key_name);
    END $$`.execute(db)

  await fixSearchPath(db, 'service_key')
  await sql`REVOKE EXECUTE ON FUNCTION unverified_context, service_key FROM PUBLIC`.execute(db)
  await sql`GRANT EXECUTE ON FUNCTION unverified_context TO orders_app, orders_worker`.execute(db)
  await sql`GRANT EXECUTE ON FUNCTION service_key TO orders_app`.execute(db)

  await bindPolicies(db)
  // An operator cannot sign a context, and deletes dead letters as orders_worker.
  await sql`GRANT DELETE ON dead_letters TO orders_worker`.execute(db)
}

/**
 * Creates the view `signed_<name>`: one row with the value of the setting while its signature is valid, else none. A
 * transaction keeps the context with which it began, however long it takes: now() is when it began.
 */
async function createVerification(db: Kysely<unknown>, name: (typeof contexts)[number]): Promise<void> {
  const view = sql.id(`signed_${name}`)
  const context = sql`current_setting(${sql.lit(`app.${name}`)}, true)`
  const signed = sql`convert_to(${sql.lit(`${name}:`)} || left(${context}, -65), 'UTF8')`
  await sql`
    CREATE VIEW ${view} WITH (security_barrier) AS
    SELECT split_part(${context}, '.', 1) AS value FROM context_keys
    WHERE CASE
      WHEN encode(sha256(outer_key || sha256(inner_key || ${signed})), 'hex') = right(${context}, 64)
      THEN to_timestamp(split_part(left(${context}, -65), '.', 2)::double precision) >= now()
    END`.execute(db)
  await sql`GRANT SELECT ON ${view} TO orders_app, orders_worker`.execute(db)
}

/**
 * Creates or replaces the function for a setting without a valid signature: NULL if it is empty, else an error that states
 * the reason. `accept unsigned` serves the release before this one as well, whose settings hold the bare value.
 */
export async function createRejection(
  db: Kysely<unknown>,
  unsigned: 'accept unsigned' | 'reject unsigned',
): Promise<void> {
  const bare = sql.raw(unsigned === 'accept unsigned' ? "IF context !~ '[.]' THEN RETURN context; END IF;" : '')
  await sql`
    CREATE OR REPLACE FUNCTION unverified_context(setting text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
    DECLARE
      context text := nullif(current_setting('app.' || setting, true), '');
      expiry text := substring(context FROM '^[^.]*[.]([0-9]{1,10})[.]');
    BEGIN
      IF context IS NULL THEN RETURN NULL; END IF;
      ${bare}
      IF to_timestamp(expiry::double precision) < now() THEN
        RAISE insufficient_privilege USING MESSAGE = 'the context has expired';
      END IF;
      RAISE insufficient_privilege USING MESSAGE = 'the context is not signed with a known key';
    END $$`.execute(db)
}

/** pg_temp comes last: PostgreSQL would search it first, and everybody may create tables there. */
async function fixSearchPath(db: Kysely<unknown>, name: string): Promise<void> {
  await sql`
    DO $$ BEGIN
      EXECUTE format('ALTER FUNCTION ${sql.raw(name)} SET search_path = %I, pg_temp', current_schema());
    END $$`.execute(db)
}

const verified = (name: (typeof contexts)[number]) =>
  sql`coalesce((SELECT value FROM ${sql.id(`signed_${name}`)}), unverified_context(${sql.lit(name)}))`

/** The sub-select becomes an InitPlan: PostgreSQL verifies the context once per statement, not once per row. */
async function bindPolicies(db: Kysely<unknown>): Promise<void> {
  const org = sql`(SELECT ${verified('org_id')}::uuid)`
  const me = sql`(SELECT ${verified('user_id')}::uuid)`
  const held = sql`(SELECT decode(${verified('held_digest')}, 'hex'))`
  const policy = (name: string, table: string) => sql`ALTER POLICY ${sql.id(name)} ON ${sql.table(table)}`
  const bind = (name: string, table: string, condition: ReturnType<typeof sql>) =>
    sql`${policy(name, table)} USING (${condition}) WITH CHECK (${condition})`.execute(db)

  for (const table of tenantTables) await bind('tenant', table, sql`org_id = ${org}`)
  await bind('tenant', 'organisations', sql`id = ${org}`)
  await bind('own', 'users', sql`id = ${me}`)
  await bind('own', 'revoked_tokens', sql`user_id = ${me}`)
  for (const table of ['sessions', 'sign_ins']) await bind('held', table, sql`digest = ${held}`)

  await sql`${policy('own', 'memberships')} USING (user_id = ${me})`.execute(db)
  await sql`
    ${policy('members', 'users')} USING (id IN (SELECT user_id FROM memberships WHERE org_id = ${org}))`.execute(db)
  await sql`
    ${policy('own', 'organisations')} USING (id IN (SELECT org_id FROM memberships WHERE user_id = ${me}))`.execute(db)
}

const tenantTables = [
  'orders',
  'order_events',
  'outbox',
  'idempotency_records',
  'projects',
  'memberships',
  'event_positions',
  'event_log',
  'event_queue',
  'inbox',
  'dead_letters',
  'webhooks',
  'webhook_deliveries',
  'webhook_fanouts',
  'import_days',
  'order_statistics',
  'order_statistics_changes',
]
