import type pg from 'pg'

// Tables whose rows belong to organisations: those with org_id, and organisations itself.
const tenantTables = `
  SELECT c.oid AS tenant, c.oid::regclass::text AS name, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c
  WHERE c.relkind IN ('r', 'p') AND (c.oid = to_regclass('organisations') OR EXISTS (
    SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'org_id' AND NOT a.attisdropped))`

const ours = (schema: string) => `${schema} NOT IN ('pg_catalog', 'information_schema', 'pg_toast')`

/** Unique keys that do not lead with org_id, each with the reason why it tells no organisation about another one. */
const globalKeys = {
  outbox_pkey: 'made by the database, never by a client',
  event_queue_pkey: 'made by the database, never by a client',
  organisations_pkey: 'the id of the organisation itself',
  organisations_slug_key: 'a slug is one for all by contract',
}

/** What a worker writes: everything else it changes as orders_app does, in one organisation at a time. */
const workerTables =
  'removed_organisations,import_days,outbox,event_positions,event_log,event_queue,event_lanes,inbox,dead_letters,idempotency_records,revoked_tokens,webhooks,webhook_deliveries,webhook_fanouts,order_statistics,order_statistics_changes,order_statistics_backfill'

/** What a worker deletes only of organisations and users that a policy lets it remove. */
const removedTables = 'orders,order_events,event_positions,webhooks,projects,organisations,users,memberships,sessions'

/** The value of a signed setting as pg_get_expr prints it, in single spaces. */
const signed = (name: string) =>
  `COALESCE(( SELECT signed_${name}.value FROM signed_${name}), unverified_context(''${name}''::text))`
const org = `( SELECT (${signed('org_id')})::uuid AS "coalesce")`
const user = `( SELECT (${signed('user_id')})::uuid AS "coalesce")`
const held = `( SELECT decode(${signed('held_digest')}, ''hex''::text) AS decode)`

/** A policy's condition in single spaces. */
const condition = (column: 'polqual' | 'polwithcheck') =>
  `regexp_replace(pg_get_expr(${column}, polrelid), '\\s+', ' ', 'g')`

/** Views that read the keys with the rights of their owner: each has no row without a signature. */
const verifications = 'signed_org_id,signed_user_id,signed_held_digest,signed_service'

/** The function that returns a key; nothing without a signature. */
const definers = 'service_key(text)'

/** Policies that bind what a worker deletes. */
const workerDeletes = `
  SELECT polrelid, polpermissive, ${condition('polqual')} AS reads FROM pg_policy
  WHERE polcmd IN ('*', 'd') AND polroles && ARRAY[0::oid, 'orders_worker'::regrole::oid]`

/** What a user may read in whatever organisation, and nothing else: the own memberships, and their organisations. */
const ownPolicies = `
  SELECT 'memberships' AS own_table, '(user_id = ${user})' AS own_reads
  UNION ALL SELECT 'organisations', '(id IN ( SELECT memberships.org_id FROM memberships WHERE (memberships.user_id = ${user})))'`

/** Each rule's query finds what breaks it, by name. */
const rules: Record<string, string> = {
  'row security is on': `SELECT name FROM (${tenantTables}) WHERE NOT relrowsecurity`,
  'row security binds the owner': `SELECT name FROM (${tenantTables}) WHERE NOT relforcerowsecurity`,
  'every command has a policy': `
    SELECT name || ' ' || command AS name FROM (${tenantTables}), unnest('{r,a,w,d}'::text[]) AS command
    WHERE NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = tenant AND p.polcmd IN ('*', command)
      AND polroles <> ARRAY['orders_worker'::regrole::oid])`,
  'every policy compares the tenant, for reading and for writing': `
    SELECT name || ' ' || polname AS name FROM (${tenantTables}) JOIN pg_policy ON polrelid = tenant,
      LATERAL (SELECT ${condition('polqual')} AS reads, ${condition('polwithcheck')} AS writes),
      LATERAL (SELECT CASE WHEN tenant = to_regclass('organisations') THEN 'id' ELSE 'org_id' END || ' = '
        || '${org}' AS mine)
    WHERE polpermissive AND polroles <> ARRAY['orders_worker'::regrole::oid]
      AND NOT (polcmd = 'r' AND EXISTS (SELECT FROM (${ownPolicies}) WHERE own_table = name AND own_reads = reads))
      AND (polcmd IN ('*', 'r', 'w', 'd') AND reads IS DISTINCT FROM '(' || mine || ')'
      OR polcmd IN ('*', 'a', 'w') AND writes IS DISTINCT FROM '(' || mine || ')')`,
  'what belongs to users is bound to its user': `
    SELECT relname AS name FROM pg_class WHERE oid IN (to_regclass('users'), to_regclass('revoked_tokens'))
      AND NOT (relrowsecurity AND relforcerowsecurity AND EXISTS (
        SELECT FROM pg_policy WHERE polrelid = pg_class.oid AND polcmd = '*'
          AND ${condition('polqual')} LIKE '%= ${user})' AND ${condition('polwithcheck')} LIKE '%= ${user})'))`,
  'what belongs to who holds a secret is bound to it': `
    SELECT relname AS name FROM pg_class WHERE oid IN (to_regclass('sessions'), to_regclass('sign_ins'))
      AND NOT (relrowsecurity AND relforcerowsecurity AND (
        SELECT array_agg(polcmd::text || ' ' || ${condition('polqual')} || ' ' || ${condition('polwithcheck')}
          ORDER BY polname) FROM pg_policy WHERE polrelid = pg_class.oid
        ) IS NOT DISTINCT FROM ARRAY['* (expires_at < now()) false', '* (digest = ${held}) (digest = ${held})'])`,
  'unique keys lead with the tenant': `
    SELECT i.indexrelid::regclass::text AS name FROM (${tenantTables}) JOIN pg_index i ON i.indrelid = tenant
    LEFT JOIN pg_attribute a ON a.attrelid = tenant AND a.attnum = i.indkey[0]
    WHERE (i.indisunique OR i.indisexclusion) AND a.attname IS DISTINCT FROM 'org_id'
      AND i.indexrelid::regclass::text <> ALL (ARRAY['${Object.keys(globalKeys).join("', '")}'])`,
  'views run with the rights of who asks': `
    SELECT c.oid::regclass::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE ${ours('nspname')} AND (relkind = 'm' OR relkind = 'v'
      AND NOT (relname = ANY ('{${verifications}}'::text[]) AND coalesce(reloptions, '{}') = '{security_barrier=true}'::text[])
      AND NOT coalesce(reloptions, '{}') && '{security_invoker=true,security_invoker=on}'::text[])`,
  'a verification compares the signature': `
    SELECT name FROM unnest('{${verifications}}'::text[]) AS name
    WHERE pg_get_viewdef(to_regclass(name)) !~ format('sha256.*%s:.*right.*%s.*now', substr(name, 8), 'app.' || substr(name, 8))`,
  'no function runs with the rights of another': `
    SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE ${ours('nspname')} AND prosecdef AND has_function_privilege('orders_app', p.oid, 'EXECUTE')
      AND (p.oid::regprocedure::text <> ALL (string_to_array('${definers}', ','))
        OR proconfig IS DISTINCT FROM ARRAY['search_path=' || nspname || ', pg_temp'])`,
  'the service reads no key': `
    SELECT name FROM unnest('{context_keys,service_keys}'::text[]) AS name, unnest('{orders_app,orders_worker}'::text[]) AS role
    WHERE has_any_column_privilege(role, name, 'SELECT, INSERT, UPDATE, REFERENCES') OR has_table_privilege(role, name, 'DELETE')`,
  'a worker changes nothing that people make': `
    SELECT c.oid::regclass || ' ' || privilege AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace,
      unnest('{INSERT,UPDATE,DELETE}'::text[]) AS privilege
    WHERE ${ours('nspname')} AND relkind IN ('r', 'p') AND CASE privilege WHEN 'DELETE' THEN has_table_privilege('orders_worker', c.oid, privilege)
        ELSE has_any_column_privilege('orders_worker', c.oid, privilege) END
      AND relname <> ALL ('{${workerTables}}'::text[])
      AND NOT (privilege = 'DELETE' AND relname = ANY ('{${removedTables}}'::text[]))`,
  'a worker deletes only what is to be removed': `
    SELECT relname AS name FROM pg_class c WHERE relname = ANY ('{${removedTables}}'::text[]) AND relkind = 'r'
      AND EXISTS (SELECT FROM (${workerDeletes}) WHERE polrelid = c.oid AND polpermissive AND reads = 'true')
      AND NOT EXISTS (SELECT FROM (${workerDeletes}) WHERE polrelid = c.oid AND NOT polpermissive AND reads <> 'true')`,
  'orders_app owns nothing': `
    SELECT pg_describe_object(classid, objid, objsubid) AS name FROM pg_shdepend
    WHERE refclassid = 'pg_authid'::regclass AND refobjid = 'orders_app'::regrole AND deptype = 'o'`,
  'orders_app is nobody special': `
    SELECT rolname AS name FROM pg_roles WHERE rolname IN ('orders_app', 'orders_worker') AND (rolsuper OR rolbypassrls OR rolcreaterole
      OR rolcreatedb OR rolcanlogin OR rolreplication OR EXISTS (SELECT FROM pg_auth_members WHERE member = pg_roles.oid))`,
  'orders_app changes rows, not tables': `
    SELECT c.oid::regclass || ' ' || privilege AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace,
      unnest('{TRUNCATE,TRIGGER,REFERENCES,MAINTAIN}'::text[]) AS privilege
    WHERE ${ours('nspname')} AND relkind IN ('r', 'p', 'v', 'm', 'f')
      AND has_table_privilege('orders_app', c.oid, privilege)`,
  'orders_app makes nothing': `
    SELECT 'schema ' || nspname AS name FROM pg_namespace WHERE ${ours('nspname')}
      AND nspname !~ '^pg_' AND has_schema_privilege('orders_app', oid, 'CREATE')
    UNION ALL SELECT 'database' WHERE has_database_privilege('orders_app', current_database(), 'CREATE')
    UNION ALL SELECT 'temporary tables' WHERE has_database_privilege('orders_app', current_database(), 'TEMPORARY')
    UNION ALL SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
      AND proname ~ '^(lo_.+|loread|lowrite)$' AND has_function_privilege('orders_app', oid, 'EXECUTE')`,
  'nothing is granted to everybody': `
    SELECT c.oid::regclass || ' ' || privilege_type AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace,
      aclexplode(relacl) WHERE ${ours('nspname')} AND grantee = 0
    UNION ALL SELECT 'default ' || privilege_type FROM pg_default_acl, aclexplode(defaclacl) WHERE grantee = 0`,
}

/** Every way in which a database lets one organisation reach another one's rows, as `rule: object`. */
export async function findLeaks(client: pg.Client): Promise<string[]> {
  const found: string[] = []
  for (const [rule, query] of Object.entries(rules)) {
    const { rows } = await client.query<{ name: string }>(query)
    found.push(...rows.map(({ name }) => `${rule}: ${name}`))
  }
  return found
}
