import t from 'tap'
import { createScratchDatabase } from '../testing/index.ts'
import { findLeaks } from './catalogue.ts'
import { connect } from './session.ts'

/** What is broken -> how to break it, and what the check must say. */
const violations: Record<string, [sql: string, found: string[]]> = {
  'a table without row security': ['ALTER TABLE orders DISABLE ROW LEVEL SECURITY', ['row security is on: orders']],
  'a new tenant table without anything': [
    'CREATE TABLE planted (org_id uuid PRIMARY KEY)',
    [
      'row security is on: planted',
      'row security binds the owner: planted',
      'every command has a policy: planted r',
      'every command has a policy: planted a',
      'every command has a policy: planted w',
      'every command has a policy: planted d',
    ],
  ],
  'a tenant table in another schema': [
    'CREATE SCHEMA planted; CREATE TABLE planted.orders (LIKE orders); ALTER TABLE planted.orders ENABLE ROW LEVEL SECURITY',
    [
      'row security binds the owner: planted.orders',
      'every command has a policy: planted.orders r',
      'every command has a policy: planted.orders a',
      'every command has a policy: planted.orders w',
      'every command has a policy: planted.orders d',
    ],
  ],
  'a table without FORCE': [
    'ALTER TABLE order_events NO FORCE ROW LEVEL SECURITY',
    ['row security binds the owner: order_events'],
  ],
  'a policy for reading only': [
    'ALTER POLICY tenant ON outbox RENAME TO old; DROP POLICY old ON outbox; CREATE POLICY tenant ON outbox FOR SELECT USING (org_id = (SELECT coalesce((SELECT value FROM signed_org_id), unverified_context($$org_id$$))::uuid))',
    [
      'every command has a policy: outbox a',
      'every command has a policy: outbox w',
      'every command has a policy: outbox d',
    ],
  ],
  'a policy without WITH CHECK': [
    'DROP POLICY tenant ON orders; CREATE POLICY tenant ON orders USING (org_id = (SELECT coalesce((SELECT value FROM signed_org_id), unverified_context($$org_id$$))::uuid))',
    ['every policy compares the tenant, for reading and for writing: orders tenant'],
  ],
  'a second policy that lets all rows be read': [
    'CREATE POLICY all_rows ON orders FOR SELECT USING (true)',
    ['every policy compares the tenant, for reading and for writing: orders all_rows'],
  ],
  'a table of users without FORCE': [
    'ALTER TABLE users NO FORCE ROW LEVEL SECURITY',
    ['what belongs to users is bound to its user: users'],
  ],
  'sessions that everybody may read': [
    'CREATE POLICY seen ON sessions FOR SELECT USING (true)',
    ['what belongs to who holds a secret is bound to it: sessions'],
  ],
  'sessions that are found by another one’s secret': [
    'ALTER POLICY held ON sessions USING (length(digest) = 32)',
    ['what belongs to who holds a secret is bound to it: sessions'],
  ],
  'sign-ins without FORCE': [
    'ALTER TABLE sign_ins NO FORCE ROW LEVEL SECURITY',
    ['what belongs to who holds a secret is bound to it: sign_ins'],
  ],
  'memberships that everybody may read': [
    'ALTER POLICY own ON memberships USING (true)',
    ['every policy compares the tenant, for reading and for writing: memberships own'],
  ],
  'a policy for workers that serves others too': [
    'ALTER POLICY worker ON orders TO orders_worker, orders_app',
    ['every policy compares the tenant, for reading and for writing: orders worker'],
  ],
  'a worker that changes orders': [
    'GRANT UPDATE (status) ON orders TO orders_worker',
    ['a worker changes nothing that people make: orders UPDATE'],
  ],
  'a worker that deletes any order': [
    'DROP POLICY worker_removes ON orders',
    ['a worker deletes only what is to be removed: orders'],
  ],
  'a worker that deletes any user': [
    'ALTER POLICY worker_removes ON users USING (true)',
    ['a worker deletes only what is to be removed: users'],
  ],
  'a policy on organisations by the wrong column': [
    'ALTER POLICY tenant ON organisations USING (slug = current_setting($$app.org_id$$))',
    ['every policy compares the tenant, for reading and for writing: organisations tenant'],
  ],
  'a unique key over all organisations': [
    'ALTER TABLE orders ADD CONSTRAINT planted UNIQUE (id)',
    ['unique keys lead with the tenant: planted'],
  ],
  'a unique index on an expression': [
    'CREATE UNIQUE INDEX planted ON orders (lower(id), org_id)',
    ['unique keys lead with the tenant: planted'],
  ],
  'a view with the rights of its owner': [
    'CREATE VIEW planted AS SELECT * FROM orders',
    ['views run with the rights of who asks: planted'],
  ],
  'a materialised view': [
    'CREATE MATERIALIZED VIEW planted AS SELECT * FROM orders',
    ['views run with the rights of who asks: planted'],
  ],
  'a function with the rights of its owner': [
    'CREATE FUNCTION planted() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS $$ SELECT count(*) FROM orders $$',
    ['no function runs with the rights of another: planted()'],
  ],
  'a policy that trusts a setting without a signature': [
    'ALTER POLICY tenant ON orders USING (org_id = (SELECT nullif(current_setting($$app.org_id$$, true), $$$$)::uuid))',
    ['every policy compares the tenant, for reading and for writing: orders tenant'],
  ],
  'a verification whose names the caller resolves': [
    'ALTER FUNCTION service_key RESET search_path',
    ['no function runs with the rights of another: service_key(text)'],
  ],
  'a verification that does not compare the signature': [
    'CREATE OR REPLACE VIEW signed_org_id WITH (security_barrier) AS SELECT current_setting($$app.org_id$$, true) AS value',
    ['a verification compares the signature: signed_org_id'],
  ],
  'a verification that shows rows to a function of the caller': [
    'ALTER VIEW signed_user_id RESET (security_barrier)',
    ['views run with the rights of who asks: signed_user_id'],
  ],
  'a key that the service may read': [
    'GRANT SELECT (inner_key) ON context_keys TO orders_app; GRANT SELECT ON service_keys TO orders_worker',
    ['the service reads no key: context_keys', 'the service reads no key: service_keys'],
  ],
  'orders_app as an owner': [
    'ALTER TABLE service_keys OWNER TO orders_app',
    [
      'the service reads no key: service_keys',
      'orders_app owns nothing: table service_keys',
      'orders_app changes rows, not tables: service_keys TRUNCATE',
      'orders_app changes rows, not tables: service_keys TRIGGER',
      'orders_app changes rows, not tables: service_keys REFERENCES',
      'orders_app changes rows, not tables: service_keys MAINTAIN',
    ],
  ],
  'orders_app above the policies': ['ALTER ROLE orders_app BYPASSRLS', ['orders_app is nobody special: orders_app']],
  'orders_app as a member of another role': [
    'GRANT pg_read_all_data TO orders_app',
    [
      'the service reads no key: context_keys',
      'the service reads no key: service_keys',
      'orders_app is nobody special: orders_app',
    ],
  ],
  'TRUNCATE, which no policy sees': [
    'GRANT TRUNCATE ON orders TO orders_app',
    ['orders_app changes rows, not tables: orders TRUNCATE'],
  ],
  'the right to make tables': [
    'GRANT CREATE ON SCHEMA public TO orders_app',
    ['orders_app makes nothing: schema public'],
  ],
  'temporary tables': [
    "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO PUBLIC', current_database()); END $$",
    ['orders_app makes nothing: temporary tables'],
  ],
  'large objects': [
    'GRANT EXECUTE ON FUNCTION lo_create(oid) TO orders_app',
    ['orders_app makes nothing: lo_create(oid)'],
  ],
  'a grant to everybody': ['GRANT SELECT ON orders TO PUBLIC', ['nothing is granted to everybody: orders SELECT']],
  'grants to everybody in time to come': [
    'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC',
    ['nothing is granted to everybody: default SELECT'],
  ],
}

t.test('the catalogue', async (t) => {
  const { url } = await createScratchDatabase(t)
  const session = await connect(t, url)
  t.strictSame(await findLeaks(session), [], 'shows no way from one organisation to another')
  for (const [name, [sql, expected]] of Object.entries(violations)) {
    await session.query(`BEGIN; ${sql}`)
    t.strictSame(await findLeaks(session), expected, `shows ${name}`)
    await session.query('ROLLBACK')
  }
  await session.query('BEGIN; CREATE VIEW planted WITH (security_invoker) AS SELECT * FROM orders')
  t.strictSame(await findLeaks(session), [], 'takes a view that asks as its reader')
})
