import { type Kysely, sql } from 'kysely'

/**
 * The keys that sign the context of a transaction, and the function that verifies it.
 *
 * The service sets app.org_id, app.user_id, app.held_digest or app.service to `value.expiry.signature`. The signature is
 * the HMAC-SHA-256 of `setting:value.expiry`, in hexadecimal. SQL that an attacker injects can set these settings, but
 * cannot sign. sha256() is built in, so no extension is needed: the table holds the key with both paddings of HMAC.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE TABLE context_keys (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      inner_key bytea NOT NULL UNIQUE CHECK (octet_length(inner_key) = 64),
      outer_key bytea NOT NULL CHECK (octet_length(outer_key) = 64),
      added_at timestamptz NOT NULL DEFAULT now()
    )`.execute(db)

  await createVerification(db, 'accept unsigned')

  // Keys that every process of one database shares, such as the one that signs list cursors.
  await sql`
    CREATE FUNCTION service_key(key_name text) RETURNS bytea
    LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
    BEGIN
      IF signed_context('service') IS NULL THEN
        RAISE insufficient_privilege USING MESSAGE = 'the context of the service is missing';
      END IF;
      RETURN (SELECT key FROM service_keys WHERE name = key_name);
    END $$`.execute(db)

  await fixSearchPath(db, 'service_key')
  await sql`REVOKE EXECUTE ON FUNCTION signed_context, service_key FROM PUBLIC`.execute(db)
  await sql`GRANT EXECUTE ON FUNCTION signed_context TO orders_app, orders_worker`.execute(db)
  await sql`GRANT EXECUTE ON FUNCTION service_key TO orders_app`.execute(db)

  await bindPolicies(db)
  await requireOrganisation(db)
  // An operator cannot sign a context, and deletes dead letters as orders_worker.
  await sql`GRANT DELETE ON dead_letters TO orders_worker`.execute(db)
}

/**
 * Creates or replaces the function that returns the value of a signed setting. `accept unsigned` serves the release before
 * this one as well, whose settings hold the bare value.
 */
export async function createVerification(
  db: Kysely<unknown>,
  unsigned: 'accept unsigned' | 'reject unsigned',
): Promise<void> {
  const bare = sql.raw(unsigned === 'accept unsigned' ? "IF context !~ '[.]' THEN RETURN context; END IF;" : '')
  // A transaction keeps the context with which it began, however long it takes: now() is when it began.
  await sql`
    CREATE OR REPLACE FUNCTION signed_context(setting text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER AS $$
    DECLARE
      context text := nullif(current_setting('app.' || setting, true), '');
      parts text[];
      signed bytea;
    BEGIN
      IF context IS NULL THEN RETURN NULL; END IF;
      ${bare}
      parts := string_to_array(context, '.');
      signed := convert_to(setting || ':' || parts[1] || '.' || parts[2], 'UTF8');
      PERFORM FROM context_keys
        WHERE encode(sha256(outer_key || sha256(inner_key || signed)), 'hex') = parts[3];
      IF NOT FOUND THEN
        RAISE insufficient_privilege USING MESSAGE = 'the context is not signed with a known key';
      END IF;
      IF parts[2]::bigint < extract(epoch FROM now()) THEN
        RAISE insufficient_privilege USING MESSAGE = 'the context has expired';
      END IF;
      RETURN parts[1];
    END $$`.execute(db)
  await fixSearchPath(db, 'signed_context')
}

/** pg_temp comes last: PostgreSQL would search it first, and everybody may create tables there. */
async function fixSearchPath(db: Kysely<unknown>, name: string): Promise<void> {
  await sql`
    DO $$ BEGIN
      EXECUTE format('ALTER FUNCTION ${sql.raw(name)} SET search_path = %I, pg_temp', current_schema());
    END $$`.execute(db)
}

/** The sub-select makes the function an InitPlan: PostgreSQL verifies the context once per statement, not once per row. */
async function bindPolicies(db: Kysely<unknown>): Promise<void> {
  const org = sql`(SELECT signed_context('org_id')::uuid)`
  const me = sql`(SELECT signed_context('user_id')::uuid)`
  const held = sql`(SELECT decode(signed_context('held_digest'), 'hex'))`
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

/** Replaces the trigger function of 0002. It reads the value without verification, because the policies verify the context. */
async function requireOrganisation(db: Kysely<unknown>): Promise<void> {
  await sql`
    CREATE OR REPLACE FUNCTION require_organisation() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
      org uuid := nullif(split_part(current_setting('app.org_id', true), '.', 1), '')::uuid;
    BEGIN
      IF org IS NULL THEN RETURN NULL; END IF;
      PERFORM FROM organisations WHERE id = org FOR KEY SHARE;
      IF NOT FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = 'the organisation is gone', CONSTRAINT = 'orders_org_fkey';
      END IF;
      RETURN NULL;
    END $$`.execute(db)
}
