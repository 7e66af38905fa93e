/* IMPORTANT
 * This snapshot file is auto-generated, but designed for humans.
 * It should be checked into source control and tracked carefully.
 * Re-generate by setting TAP_SNAPSHOT=1 and running tests.
 * Make sure to inspect the output below.  Do not ignore changes!
 */
'use strict'
exports[`test/migrate.test.ts > TAP > a released migration never changes > 0001-orders 1`] = `
DO $$ BEGIN
  CREATE ROLE orders_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not to one database
END $$;

DO $$ BEGIN
  IF NOT pg_has_role(current_user, 'orders_app', 'SET') THEN
    EXECUTE format('GRANT orders_app TO %I', current_user);
  END IF;
END $$;

CREATE TABLE organisations (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO organisations (id, name, slug)
VALUES ('00000000-0000-7000-8000-000000000000', 'Default', 'default');

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
);

CREATE INDEX orders_newest ON orders (org_id, created_at, id);

SELECT pg_restore_relation_stats('schemaname', current_schema()::text, 'relname', 'orders',
'relpages', 1000, 'reltuples', 50000::real);

SELECT pg_restore_attribute_stats('schemaname', current_schema()::text, 'relname', 'orders',
'attname', 'org_id', 'inherited', false, 'null_frac', 0::real, 'avg_width', 16,
'n_distinct', 1::real);

SELECT pg_restore_attribute_stats('schemaname', current_schema()::text, 'relname', 'orders',
'attname', 'id', 'inherited', false, 'null_frac', 0::real, 'avg_width', 16,
'n_distinct', -1::real);

SELECT pg_restore_attribute_stats('schemaname', current_schema()::text, 'relname', 'orders',
'attname', 'created_at', 'inherited', false, 'null_frac', 0::real, 'avg_width', 16,
'n_distinct', -0.1::real);

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
);

CREATE TABLE outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  org_id uuid NOT NULL,
  order_id text COLLATE "C" NOT NULL,
  sequence integer NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE idempotency_records (
  org_id uuid NOT NULL,
  route text COLLATE "C" NOT NULL,
  principal text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  fingerprint bytea NOT NULL,
  answer jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, route, principal, key)
);

CREATE TABLE service_keys (name text PRIMARY KEY, key bytea NOT NULL);

INSERT INTO service_keys VALUES
  ('cursor', sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')));

ALTER TABLE "orders" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "orders" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "orders" USING ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "order_events" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "order_events" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "order_events" USING ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "outbox" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "outbox" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "outbox" USING ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "idempotency_records" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "idempotency_records" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "idempotency_records" USING ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK ("org_id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "organisations" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "organisations" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "organisations" USING ("id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK ("id" = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

GRANT SELECT ON organisations, service_keys, kysely_migration TO orders_app;

GRANT SELECT, INSERT ON orders, order_events, outbox TO orders_app;

GRANT UPDATE (status, description, metadata, updated_at, version) ON orders TO orders_app;

GRANT SELECT, INSERT, DELETE, UPDATE (answer) ON idempotency_records TO orders_app;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0002-people 1`] = `
CREATE TABLE projects (
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  id uuid NOT NULL DEFAULT uuidv7(),
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  slug text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, id),
  UNIQUE (org_id, slug)
);

ALTER TABLE orders ADD CONSTRAINT orders_project_fkey
FOREIGN KEY (org_id, project_id) REFERENCES projects (org_id, id) NOT VALID;

CREATE FUNCTION require_organisation() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  org uuid := nullif(current_setting('app.org_id', true), '')::uuid;
BEGIN
  IF org IS NULL THEN RETURN NULL; END IF;
  PERFORM FROM organisations WHERE id = org FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE foreign_key_violation USING MESSAGE = 'the organisation is gone', CONSTRAINT = 'orders_org_fkey';
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER require_organisation AFTER INSERT ON orders
FOR EACH STATEMENT EXECUTE FUNCTION require_organisation();

CREATE TABLE users (
  id uuid PRIMARY KEY,
  name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  home_org_id uuid NOT NULL REFERENCES organisations,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX users_at_home ON users (home_org_id);

CREATE SEQUENCE guest_numbers;

CREATE TABLE memberships (
  org_id uuid NOT NULL REFERENCES organisations ON DELETE CASCADE,
  user_id uuid NOT NULL CONSTRAINT memberships_user_fkey REFERENCES users,
  role text COLLATE "C" NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, user_id)
);

CREATE INDEX memberships_of_user ON memberships (user_id);

CREATE TABLE revoked_tokens (
  user_id uuid NOT NULL,
  jti text COLLATE "C" NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, jti)
);

ALTER TABLE "projects" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "projects" FORCE ROW LEVEL SECURITY;

ALTER TABLE "users" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "users" FORCE ROW LEVEL SECURITY;

ALTER TABLE "memberships" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "memberships" FORCE ROW LEVEL SECURITY;

ALTER TABLE "revoked_tokens" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "revoked_tokens" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "projects" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

CREATE POLICY tenant ON "memberships" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

CREATE POLICY own ON memberships FOR SELECT USING (user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));

CREATE POLICY own ON users USING (id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)) WITH CHECK (id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));

CREATE POLICY members ON users FOR SELECT
USING (id IN (SELECT user_id FROM memberships WHERE org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)));

CREATE POLICY own ON organisations FOR SELECT
USING (id IN (SELECT org_id FROM memberships WHERE user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)));

CREATE POLICY own ON revoked_tokens USING (user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid)) WITH CHECK (user_id = (SELECT nullif(current_setting('app.user_id', true), '')::uuid));

CREATE FUNCTION announce_access() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('access', coalesce(new.user_id, old.user_id)::text);
  RETURN NULL;
END $$;

CREATE TRIGGER announce_access AFTER UPDATE OR DELETE ON memberships
FOR EACH ROW EXECUTE FUNCTION announce_access();

CREATE TRIGGER announce_access AFTER INSERT ON revoked_tokens
FOR EACH ROW EXECUTE FUNCTION announce_access();

GRANT SELECT, INSERT, DELETE, UPDATE (name, slug, updated_at) ON organisations, projects TO orders_app;

GRANT SELECT, INSERT ON users, revoked_tokens TO orders_app;

GRANT SELECT, INSERT, DELETE, UPDATE (role, updated_at) ON memberships TO orders_app;

GRANT USAGE ON SEQUENCE guest_numbers TO orders_app;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0003-orders-of-project 1`] = `
DROP INDEX CONCURRENTLY IF EXISTS orders_of_project;

CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_of_project ON orders (org_id, project_id, created_at, id)
WHERE project_id IS NOT NULL;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0004-sessions 1`] = `
CREATE TABLE sessions (
  digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
  user_id uuid NOT NULL REFERENCES users,
  chosen_org_id uuid,
  issuer text COLLATE "C",
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  ends_at timestamptz NOT NULL,
  CONSTRAINT sessions_choice_fkey FOREIGN KEY (chosen_org_id, user_id)
    REFERENCES memberships (org_id, user_id) ON DELETE SET NULL (chosen_org_id)
);

CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE sign_ins (
  digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
  issuer text COLLATE "C" NOT NULL,
  return_to text NOT NULL CHECK (return_to ~ '^/'),
  expires_at timestamptz NOT NULL
);

CREATE INDEX sign_ins_by_expiry ON sign_ins (expires_at);

ALTER TABLE "sessions" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "sessions" FORCE ROW LEVEL SECURITY;

CREATE POLICY held ON "sessions" USING (digest = (SELECT decode(nullif(current_setting('app.held_digest', true), ''), 'hex'))) WITH CHECK (digest = (SELECT decode(nullif(current_setting('app.held_digest', true), ''), 'hex')));

CREATE POLICY ended ON "sessions" USING (expires_at < now()) WITH CHECK (false);

ALTER TABLE "sign_ins" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "sign_ins" FORCE ROW LEVEL SECURITY;

CREATE POLICY held ON "sign_ins" USING (digest = (SELECT decode(nullif(current_setting('app.held_digest', true), ''), 'hex'))) WITH CHECK (digest = (SELECT decode(nullif(current_setting('app.held_digest', true), ''), 'hex')));

CREATE POLICY ended ON "sign_ins" USING (expires_at < now()) WITH CHECK (false);

CREATE TRIGGER announce_access AFTER DELETE OR UPDATE OF chosen_org_id ON sessions
FOR EACH ROW EXECUTE FUNCTION announce_access();

GRANT SELECT, INSERT, DELETE, UPDATE (chosen_org_id, expires_at) ON sessions TO orders_app;

GRANT SELECT, INSERT, DELETE, UPDATE (expires_at) ON sign_ins TO orders_app;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0005-events 1`] = `
DO $$ BEGIN
  CREATE ROLE orders_worker NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; -- roles belong to the cluster, not to one database
END $$;

DO $$ BEGIN
  IF NOT pg_has_role(current_user, 'orders_worker', 'SET') THEN
    EXECUTE format('GRANT orders_worker TO %I', current_user);
  END IF;
END $$;

CREATE TABLE event_positions (
  org_id uuid PRIMARY KEY,
  position bigint NOT NULL
) WITH (fillfactor = 70);

CREATE TABLE event_log (
  org_id uuid NOT NULL,
  position bigint NOT NULL,
  order_id text COLLATE "C" NOT NULL,
  sequence integer NOT NULL,
  logged_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, position)
);

CREATE INDEX event_log_by_time ON event_log USING brin (logged_at);

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
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX event_queue_of_lane ON event_queue (lane, id);

CREATE TABLE event_lanes (
  lane integer PRIMARY KEY,
  lease bigint NOT NULL DEFAULT 0,
  leased_until timestamptz NOT NULL DEFAULT '-infinity',
  served_at timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 10);

INSERT INTO event_lanes (lane) SELECT generate_series(0, 63);

CREATE TABLE inbox (
  org_id uuid NOT NULL,
  order_id text COLLATE "C" NOT NULL,
  sequence integer NOT NULL,
  handled_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, order_id, sequence)
);

CREATE INDEX inbox_by_time ON inbox USING brin (handled_at);

CREATE TABLE dead_letters (
  org_id uuid NOT NULL,
  id uuid NOT NULL DEFAULT uuidv7(),
  order_id text COLLATE "C" NOT NULL,
  sequence integer NOT NULL,
  attempts integer NOT NULL,
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, id)
);

ALTER TABLE "event_positions" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "event_positions" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "event_positions" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "event_log" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "event_log" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "event_log" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "event_queue" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "event_queue" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "event_queue" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "inbox" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "inbox" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "inbox" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

ALTER TABLE "dead_letters" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "dead_letters" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "dead_letters" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

GRANT SELECT ON event_log, event_positions TO orders_app;

GRANT SELECT, INSERT ON inbox TO orders_app;

GRANT SELECT, DELETE ON dead_letters TO orders_app;

GRANT INSERT ON event_queue TO orders_app;

GRANT SELECT ON "orders" TO orders_worker;

CREATE POLICY worker ON "orders" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT ON "order_events" TO orders_worker;

CREATE POLICY worker ON "order_events" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, DELETE ON "outbox" TO orders_worker;

CREATE POLICY worker ON "outbox" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON "event_positions" TO orders_worker;

CREATE POLICY worker ON "event_positions" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, DELETE ON "event_log" TO orders_worker;

CREATE POLICY worker ON "event_log" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON "event_queue" TO orders_worker;

CREATE POLICY worker ON "event_queue" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, DELETE ON "inbox" TO orders_worker;

CREATE POLICY worker ON "inbox" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT ON "dead_letters" TO orders_worker;

CREATE POLICY worker ON "dead_letters" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, DELETE ON "idempotency_records" TO orders_worker;

CREATE POLICY worker ON "idempotency_records" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, DELETE ON "revoked_tokens" TO orders_worker;

CREATE POLICY worker ON "revoked_tokens" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, UPDATE ON event_lanes TO orders_worker;

GRANT SELECT ON kysely_migration TO orders_worker;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0006-prune-idempotency-records 1`] = `
DROP INDEX CONCURRENTLY IF EXISTS idempotency_records_by_time;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idempotency_records_by_time
ON idempotency_records USING brin (created_at);

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0007-webhooks 1`] = `
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
);

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
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (org_id, webhook_id, due_at)
WHERE state = 'pending';

CREATE INDEX webhook_deliveries_in_flight ON webhook_deliveries (org_id, webhook_id)
WHERE leased_until IS NOT NULL;

CREATE INDEX webhook_deliveries_newest ON webhook_deliveries (org_id, webhook_id, created_at, id);

CREATE INDEX webhook_deliveries_by_time ON webhook_deliveries USING brin (created_at);

SELECT pg_restore_relation_stats('schemaname', current_schema()::text, 'relname', 'webhook_deliveries',
'relpages', 2000, 'reltuples', 50000::real);

SELECT pg_restore_attribute_stats('schemaname', current_schema()::text, 'relname', 'webhook_deliveries',
'attname', 'leased_until', 'inherited', false, 'null_frac', 0.999::real, 'avg_width', 8,
'n_distinct', -0.001::real);

ALTER TABLE "webhooks" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "webhooks" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "webhooks" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

CREATE POLICY worker ON "webhooks" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON "webhooks" TO orders_app;

ALTER TABLE "webhook_deliveries" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "webhook_deliveries" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "webhook_deliveries" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

CREATE POLICY worker ON "webhook_deliveries" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON "webhook_deliveries" TO orders_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_deliveries TO orders_worker;

GRANT SELECT,
UPDATE (enabled, disabled_reason, disabled_at, first_failure_at, version, updated_at) ON webhooks TO orders_worker;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0008-outbox-of-statements 1`] = `
-- squawk-ignore ban-drop-not-null
ALTER TABLE outbox ALTER COLUMN order_id DROP NOT NULL;

ALTER TABLE outbox
  ADD COLUMN order_ids text[] COLLATE "C",
  ADD COLUMN events integer NOT NULL DEFAULT 1;

ALTER TABLE outbox ADD CONSTRAINT outbox_events_check
CHECK ((order_id IS NULL) <> (order_ids IS NULL) AND events = coalesce(cardinality(order_ids), 1)) NOT VALID;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0009-room-for-updates 1`] = `
ALTER TABLE orders SET (fillfactor = 50);

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0010-log-of-statements 1`] = `
-- squawk-ignore renaming-column
ALTER TABLE event_log RENAME order_id TO only_order_id;

-- squawk-ignore ban-drop-not-null
ALTER TABLE event_log ALTER COLUMN only_order_id DROP NOT NULL;

ALTER TABLE event_log
  ADD COLUMN order_ids text[] COLLATE "C",
  ADD COLUMN events integer NOT NULL DEFAULT 1;

ALTER TABLE event_log ADD CONSTRAINT event_log_events_check
CHECK ((only_order_id IS NULL) <> (order_ids IS NULL) AND events = coalesce(cardinality(order_ids), 1)) NOT VALID;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0012-outbox-of-organisation 1`] = `
DROP INDEX CONCURRENTLY IF EXISTS outbox_of_organisation;

CREATE INDEX CONCURRENTLY IF NOT EXISTS outbox_of_organisation ON outbox (org_id, id);

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0013-webhook-fanouts 1`] = `
CREATE TABLE webhook_fanouts (
  org_id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  position bigint NOT NULL,
  events integer NOT NULL CHECK (events > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (org_id, webhook_id, position)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX webhook_fanouts_by_time ON webhook_fanouts USING brin (created_at);

ALTER TABLE webhook_fanouts ENABLE ROW LEVEL SECURITY;

ALTER TABLE webhook_fanouts FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON webhook_fanouts USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

CREATE POLICY worker ON webhook_fanouts TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, DELETE ON webhook_fanouts TO orders_worker;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0014-queue-of-organisation 1`] = `
DROP INDEX CONCURRENTLY IF EXISTS event_queue_of_organisation;

CREATE INDEX CONCURRENTLY IF NOT EXISTS event_queue_of_organisation ON event_queue (lane, org_id, id);

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0019-removed-organisations 1`] = `
CREATE TABLE removed_organisations (id uuid PRIMARY KEY);

ALTER TABLE removed_organisations ENABLE ROW LEVEL SECURITY;

ALTER TABLE removed_organisations FORCE ROW LEVEL SECURITY;

CREATE POLICY worker ON removed_organisations TO orders_worker USING (true) WITH CHECK (
  id <> '00000000-0000-7000-8000-000000000000' AND NOT EXISTS (
    SELECT FROM memberships m WHERE m.org_id = removed_organisations.id AND NOT (uuid_extract_version("m"."user_id") = 7 AND uuid_extract_timestamp("m"."user_id") < now() - interval '1 day'))
  AND NOT EXISTS (
    SELECT FROM users u WHERE u.home_org_id = removed_organisations.id AND NOT (uuid_extract_version("u"."id") = 7 AND uuid_extract_timestamp("u"."id") < now() - interval '1 day'))
  AND (EXISTS (SELECT FROM memberships m WHERE m.org_id = removed_organisations.id)
    OR EXISTS (SELECT FROM users u WHERE u.home_org_id = removed_organisations.id)));

CREATE POLICY worker_reads ON "users" FOR SELECT TO orders_worker USING (true);

CREATE POLICY worker_removes ON "users" FOR DELETE TO orders_worker USING ((uuid_extract_version("id") = 7 AND uuid_extract_timestamp("id") < now() - interval '1 day'));

CREATE POLICY worker_reads ON "memberships" FOR SELECT TO orders_worker USING (true);

CREATE POLICY worker_removes ON "memberships" FOR DELETE TO orders_worker USING ((uuid_extract_version("user_id") = 7 AND uuid_extract_timestamp("user_id") < now() - interval '1 day'));

CREATE POLICY worker ON organisations TO orders_worker
USING (EXISTS (SELECT FROM removed_organisations r WHERE r.id = organisations.id)) WITH CHECK (false);

CREATE POLICY worker ON projects TO orders_worker
USING (EXISTS (SELECT FROM removed_organisations r WHERE r.id = projects.org_id)) WITH CHECK (false);

CREATE POLICY worker_removes ON "orders" AS RESTRICTIVE FOR DELETE TO orders_worker
USING (EXISTS (SELECT FROM removed_organisations r WHERE r.id = "orders".org_id));

CREATE POLICY worker_removes ON "order_events" AS RESTRICTIVE FOR DELETE TO orders_worker
USING (EXISTS (SELECT FROM removed_organisations r WHERE r.id = "order_events".org_id));

CREATE POLICY worker_removes ON "event_positions" AS RESTRICTIVE FOR DELETE TO orders_worker
USING (EXISTS (SELECT FROM removed_organisations r WHERE r.id = "event_positions".org_id));

CREATE POLICY worker_removes ON "webhooks" AS RESTRICTIVE FOR DELETE TO orders_worker
USING (EXISTS (SELECT FROM removed_organisations r WHERE r.id = "webhooks".org_id));

GRANT SELECT, INSERT, DELETE ON removed_organisations TO orders_worker;

GRANT SELECT (id, home_org_id, created_at), DELETE ON users TO orders_worker;

GRANT SELECT (org_id, user_id, ctid), DELETE ON memberships TO orders_worker;

GRANT SELECT (user_id), DELETE ON sessions TO orders_worker;

GRANT SELECT (id), DELETE ON organisations TO orders_worker;

GRANT SELECT (org_id, ctid), DELETE ON projects TO orders_worker;

GRANT DELETE ON orders, order_events, event_positions, webhooks, dead_letters TO orders_worker;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0020-import-days 1`] = `
CREATE TABLE import_days (
  org_id uuid NOT NULL,
  starts_at timestamptz NOT NULL,
  lines bigint NOT NULL CHECK (lines > 0),
  PRIMARY KEY (org_id, starts_at)
) WITH (fillfactor = 50);

CREATE INDEX import_days_by_time ON import_days USING brin (starts_at);

ALTER TABLE import_days ENABLE ROW LEVEL SECURITY;

ALTER TABLE import_days FORCE ROW LEVEL SECURITY;

DO $$ DECLARE
  condition text := (SELECT pg_get_expr(polqual, polrelid) FROM pg_policy
    WHERE polrelid = 'projects'::regclass AND polname = 'tenant');
BEGIN
  EXECUTE format('CREATE POLICY tenant ON import_days USING (%1$s) WITH CHECK (%1$s)', condition);
END $$;

CREATE POLICY worker ON import_days TO orders_worker USING (true) WITH CHECK (false);

GRANT SELECT, INSERT, UPDATE (lines) ON import_days TO orders_app;

GRANT SELECT, DELETE ON import_days TO orders_worker;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0021-order-statistics 1`] = `
CREATE TABLE order_statistics (
  org_id uuid NOT NULL REFERENCES organisations,
  day date NOT NULL, -- in UTC, of created_at
  currency text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  orders bigint NOT NULL,
  amount numeric NOT NULL,
  metadata_bytes bigint NOT NULL, -- of the text, which does not depend on how PostgreSQL stores it
  PRIMARY KEY (org_id, day, currency, status)
);

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
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE order_statistics_backfill (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  after_org uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000', -- up to it, organisations are counted
  completed boolean NOT NULL
);

ALTER TABLE "order_statistics" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "order_statistics" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "order_statistics" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

CREATE POLICY worker ON "order_statistics" TO orders_worker USING (true) WITH CHECK (true);

ALTER TABLE "order_statistics_changes" ENABLE ROW LEVEL SECURITY;

ALTER TABLE "order_statistics_changes" FORCE ROW LEVEL SECURITY;

CREATE POLICY tenant ON "order_statistics_changes" USING (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid)) WITH CHECK (org_id = (SELECT nullif(current_setting('app.org_id', true), '')::uuid));

CREATE POLICY worker ON "order_statistics_changes" TO orders_worker USING (true) WITH CHECK (true);

GRANT SELECT ON order_statistics TO orders_app;

GRANT SELECT, INSERT ON order_statistics_changes TO orders_app;

GRANT SELECT, INSERT, DELETE ON order_statistics, order_statistics_changes TO orders_worker;

GRANT SELECT ON order_statistics_backfill TO orders_app;

GRANT SELECT, UPDATE (after_org, completed) ON order_statistics_backfill TO orders_worker;

CREATE FUNCTION "record_statistics_of_insert"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes) 
  SELECT org_id, (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, count(*) AS orders,
sum(amount) AS amount, sum(octet_length(metadata::text)) AS metadata_bytes
  FROM "added" GROUP BY 1, 2, 3, 4;
  RETURN NULL;
END $$;

CREATE TRIGGER "record_statistics_of_insert" AFTER INSERT ON orders
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION "record_statistics_of_insert"();

CREATE FUNCTION "record_statistics_of_delete"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes) 
  SELECT org_id, (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, -count(*) AS orders,
-sum(amount) AS amount, -sum(octet_length(metadata::text)) AS metadata_bytes
  FROM "removed" GROUP BY 1, 2, 3, 4;
  RETURN NULL;
END $$;

CREATE TRIGGER "record_statistics_of_delete" AFTER DELETE ON orders
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "record_statistics_of_delete"();

CREATE FUNCTION "record_statistics_of_update"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO order_statistics_changes (org_id, day, currency, status, orders, amount, metadata_bytes) 
  SELECT org_id, day, currency, status, sum(orders), sum(amount), sum(metadata_bytes)
  FROM (
  SELECT org_id, (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, count(*) AS orders,
sum(amount) AS amount, sum(octet_length(metadata::text)) AS metadata_bytes
  FROM "added" GROUP BY 1, 2, 3, 4 UNION ALL 
  SELECT org_id, (created_at AT TIME ZONE 'UTC')::date AS day, currency, status, -count(*) AS orders,
-sum(amount) AS amount, -sum(octet_length(metadata::text)) AS metadata_bytes
  FROM "removed" GROUP BY 1, 2, 3, 4) AS sums GROUP BY 1, 2, 3, 4
  HAVING sum(orders) <> 0 OR sum(amount) <> 0 OR sum(metadata_bytes) <> 0;
  RETURN NULL;
END $$;

CREATE TRIGGER "record_statistics_of_update" AFTER UPDATE ON orders
REFERENCING NEW TABLE AS added OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "record_statistics_of_update"();

DROP TRIGGER require_organisation ON orders;

DROP FUNCTION require_organisation;

DO $$ DECLARE
  is_empty boolean;
BEGIN
  SET LOCAL ROLE orders_worker;
  is_empty := NOT EXISTS (SELECT FROM orders);
  RESET ROLE;
  INSERT INTO order_statistics_backfill (completed) VALUES (is_empty);
END $$;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0022-context-keys 1`] = `
CREATE TABLE context_keys (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  inner_key bytea NOT NULL UNIQUE CHECK (octet_length(inner_key) = 64),
  outer_key bytea NOT NULL CHECK (octet_length(outer_key) = 64),
  added_at timestamptz NOT NULL DEFAULT now()
);

CREATE VIEW "signed_org_id" WITH (security_barrier) AS
SELECT split_part(current_setting('app.org_id', true), '.', 1) AS value FROM context_keys
WHERE CASE
  WHEN encode(sha256(outer_key || sha256(inner_key || convert_to('org_id:' || left(current_setting('app.org_id', true), -65), 'UTF8'))), 'hex') = right(current_setting('app.org_id', true), 64)
  THEN to_timestamp(split_part(left(current_setting('app.org_id', true), -65), '.', 2)::double precision) >= now()
END;

GRANT SELECT ON "signed_org_id" TO orders_app, orders_worker;

CREATE VIEW "signed_user_id" WITH (security_barrier) AS
SELECT split_part(current_setting('app.user_id', true), '.', 1) AS value FROM context_keys
WHERE CASE
  WHEN encode(sha256(outer_key || sha256(inner_key || convert_to('user_id:' || left(current_setting('app.user_id', true), -65), 'UTF8'))), 'hex') = right(current_setting('app.user_id', true), 64)
  THEN to_timestamp(split_part(left(current_setting('app.user_id', true), -65), '.', 2)::double precision) >= now()
END;

GRANT SELECT ON "signed_user_id" TO orders_app, orders_worker;

CREATE VIEW "signed_held_digest" WITH (security_barrier) AS
SELECT split_part(current_setting('app.held_digest', true), '.', 1) AS value FROM context_keys
WHERE CASE
  WHEN encode(sha256(outer_key || sha256(inner_key || convert_to('held_digest:' || left(current_setting('app.held_digest', true), -65), 'UTF8'))), 'hex') = right(current_setting('app.held_digest', true), 64)
  THEN to_timestamp(split_part(left(current_setting('app.held_digest', true), -65), '.', 2)::double precision) >= now()
END;

GRANT SELECT ON "signed_held_digest" TO orders_app, orders_worker;

CREATE VIEW "signed_service" WITH (security_barrier) AS
SELECT split_part(current_setting('app.service', true), '.', 1) AS value FROM context_keys
WHERE CASE
  WHEN encode(sha256(outer_key || sha256(inner_key || convert_to('service:' || left(current_setting('app.service', true), -65), 'UTF8'))), 'hex') = right(current_setting('app.service', true), 64)
  THEN to_timestamp(split_part(left(current_setting('app.service', true), -65), '.', 2)::double precision) >= now()
END;

GRANT SELECT ON "signed_service" TO orders_app, orders_worker;

CREATE OR REPLACE FUNCTION unverified_context(setting text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  context text := nullif(current_setting('app.' || setting, true), '');
  expiry text := substring(context FROM '^[^.]*[.]([0-9]{1,10})[.]');
BEGIN
  IF context IS NULL THEN RETURN NULL; END IF;
  IF context !~ '[.]' THEN RETURN context; END IF;
  IF to_timestamp(expiry::double precision) < now() THEN
    RAISE insufficient_privilege USING MESSAGE = 'the context has expired';
  END IF;
  RAISE insufficient_privilege USING MESSAGE = 'the context is not signed with a known key';
END $$;

CREATE FUNCTION service_key(key_name text) RETURNS bytea
LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM signed_service) THEN
    PERFORM unverified_context('service');
    RAISE insufficient_privilege USING MESSAGE = 'the context of the service is missing';
  END IF;
  RETURN (SELECT key FROM service_keys WHERE name = key_name);
END $$;

DO $$ BEGIN
  EXECUTE format('ALTER FUNCTION service_key SET search_path = %I, pg_temp', current_schema());
END $$;

REVOKE EXECUTE ON FUNCTION unverified_context, service_key FROM PUBLIC;

GRANT EXECUTE ON FUNCTION unverified_context TO orders_app, orders_worker;

GRANT EXECUTE ON FUNCTION service_key TO orders_app;

ALTER POLICY "tenant" ON "orders" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "order_events" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "outbox" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "idempotency_records" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "projects" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "memberships" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "event_positions" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "event_log" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "event_queue" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "inbox" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "dead_letters" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "webhooks" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "webhook_deliveries" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "webhook_fanouts" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "import_days" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "order_statistics" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "order_statistics_changes" USING (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "tenant" ON "organisations" USING (id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)) WITH CHECK (id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid));

ALTER POLICY "own" ON "users" USING (id = (SELECT coalesce((SELECT value FROM "signed_user_id"), unverified_context('user_id'))::uuid)) WITH CHECK (id = (SELECT coalesce((SELECT value FROM "signed_user_id"), unverified_context('user_id'))::uuid));

ALTER POLICY "own" ON "revoked_tokens" USING (user_id = (SELECT coalesce((SELECT value FROM "signed_user_id"), unverified_context('user_id'))::uuid)) WITH CHECK (user_id = (SELECT coalesce((SELECT value FROM "signed_user_id"), unverified_context('user_id'))::uuid));

ALTER POLICY "held" ON "sessions" USING (digest = (SELECT decode(coalesce((SELECT value FROM "signed_held_digest"), unverified_context('held_digest')), 'hex'))) WITH CHECK (digest = (SELECT decode(coalesce((SELECT value FROM "signed_held_digest"), unverified_context('held_digest')), 'hex')));

ALTER POLICY "held" ON "sign_ins" USING (digest = (SELECT decode(coalesce((SELECT value FROM "signed_held_digest"), unverified_context('held_digest')), 'hex'))) WITH CHECK (digest = (SELECT decode(coalesce((SELECT value FROM "signed_held_digest"), unverified_context('held_digest')), 'hex')));

ALTER POLICY "own" ON "memberships" USING (user_id = (SELECT coalesce((SELECT value FROM "signed_user_id"), unverified_context('user_id'))::uuid));

ALTER POLICY "members" ON "users" USING (id IN (SELECT user_id FROM memberships WHERE org_id = (SELECT coalesce((SELECT value FROM "signed_org_id"), unverified_context('org_id'))::uuid)));

ALTER POLICY "own" ON "organisations" USING (id IN (SELECT org_id FROM memberships WHERE user_id = (SELECT coalesce((SELECT value FROM "signed_user_id"), unverified_context('user_id'))::uuid)));

GRANT DELETE ON dead_letters TO orders_worker;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0023-signed-context.after-0022 1`] = `
CREATE OR REPLACE FUNCTION unverified_context(setting text) RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
  context text := nullif(current_setting('app.' || setting, true), '');
  expiry text := substring(context FROM '^[^.]*[.]([0-9]{1,10})[.]');
BEGIN
  IF context IS NULL THEN RETURN NULL; END IF;
  
  IF to_timestamp(expiry::double precision) < now() THEN
    RAISE insufficient_privilege USING MESSAGE = 'the context has expired';
  END IF;
  RAISE insufficient_privilege USING MESSAGE = 'the context is not signed with a known key';
END $$;

REVOKE SELECT ON service_keys FROM orders_app;

`

exports[`test/migrate.test.ts > TAP > a released migration never changes > 0024-fewer-rights 1`] = `
DO $$ BEGIN
  IF (SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = current_database()) THEN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
  END IF;
END $$;

DO $$ DECLARE
  large_object regprocedure;
BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN RETURN; END IF;
  FOR large_object IN
    SELECT oid FROM pg_proc
    WHERE pronamespace = 'pg_catalog'::regnamespace AND proname ~ '^(lo_.+|loread|lowrite)$'
  LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', large_object);
  END LOOP;
END $$;

`
