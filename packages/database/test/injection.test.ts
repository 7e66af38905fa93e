import { type RawBuilder, sql } from 'kysely'
import t, { type Test } from 'tap'
import { connectionOptions } from '../src/connection.ts'
import type { Database } from '../src/database.ts'
import { migrateToLatest } from '../src/migrate.ts'
import { createScratchDatabase, newOrganisation } from '../testing/index.ts'
import { createLogin } from './logins.ts'
import { connect, rowsOf } from './session.ts'
import { open } from './tenant.ts'
import { fillTenantTables, findTenantTables, type TenantTable } from './tenant-tables.ts'

const contextKey = 'a random text of at least 32 characters'

/** SQL that an attacker injects into a transaction of another organisation, to act in `victim`. */
const injections = (victim: string): string[] => [
  'SELECT 1',
  `SELECT set_config('app.org_id', '${victim}', true)`,
  `SELECT set_config('app.org_id', '${victim}', false)`,
  `SET LOCAL app.org_id = '${victim}'`,
  `SELECT set_config('app.org_id', replace(current_setting('app.org_id'), split_part(current_setting('app.org_id'), '.', 1), '${victim}'), true)`,
  `SELECT set_config('app.org_id', '${victim}.9999999999.' || encode(sha256('a'), 'hex'), true)`,
  `SELECT set_config('app.user_id', '${victim}', true)`,
  `SELECT set_config('app.user_id', replace(current_setting('app.org_id'), split_part(current_setting('app.org_id'), '.', 1), '${victim}'), true)`,
  `SELECT set_config('app.org_id', (SELECT encode(inner_key, 'hex') FROM context_keys LIMIT 1), true)`,
  `SELECT service_key('cursor')`,
  'SET LOCAL row_security = off',
  'SET LOCAL ROLE NONE',
  'SET ROLE NONE',
  'RESET ROLE',
  'RESET ALL',
  'SET LOCAL ROLE orders_worker',
  'SET LOCAL ROLE postgres',
  'SET LOCAL SESSION AUTHORIZATION postgres',
  'RESET SESSION AUTHORIZATION',
  `SET LOCAL search_path = pg_temp, public`,
  `CREATE FUNCTION unverified_context(text) RETURNS text LANGUAGE sql AS $$ SELECT '${victim}' $$`,
  `CREATE FUNCTION pg_temp.unverified_context(text) RETURNS text LANGUAGE sql AS $$ SELECT '${victim}' $$`,
  `CREATE OR REPLACE FUNCTION public.unverified_context(setting text) RETURNS text LANGUAGE sql AS $$ SELECT '${victim}' $$`,
  `CREATE TEMP VIEW signed_org_id AS SELECT '${victim}' AS value`,
  `CREATE OR REPLACE VIEW public.signed_org_id AS SELECT '${victim}' AS value`,
  `UPDATE signed_org_id SET value = '${victim}'`,
  'CREATE TEMP TABLE context_keys (inner_key bytea, outer_key bytea)',
  `INSERT INTO context_keys (inner_key, outer_key) VALUES (decode(repeat('36', 64), 'hex'), decode(repeat('5c', 64), 'hex'))`,
  'ALTER TABLE orders DISABLE ROW LEVEL SECURITY',
  'ALTER POLICY tenant ON orders USING (true)',
  'DROP POLICY tenant ON orders',
  'CREATE POLICY everything ON orders USING (true)',
  'GRANT orders_worker TO orders_app',
  'ALTER ROLE orders_app BYPASSRLS',
  'CREATE ROLE planted',
  `COPY orders TO PROGRAM 'cat'`,
  `SELECT pg_read_file('PG_VERSION')`,
]

async function start(t: Test) {
  const { url, name } = await createScratchDatabase(t)
  await migrateToLatest(url, { contextKey })
  const admin = await connect(t, url)
  const login = await createLogin(admin, url, { name: `api_${name}`, role: 'orders_app' })
  const [attacker, victim] = [await newOrganisation(url), await newOrganisation(url)]
  await fillTenantTables(admin, victim)
  return {
    admin,
    attacker,
    victim,
    tables: await findTenantTables(admin),
    /** All transactions share one connection. */
    attack: () => open(t, login, connectionOptions(login, { max: 1, contextKey })),
  }
}

type Attack = { database: Database; attacker: string; victim: string; injection: string; tables: TenantTable[] }

/** The tables of which the rest of a transaction reads or deletes rows of the victim, after an injection. */
function reach({ database, attacker, victim, injection, tables }: Attack): Promise<string[]> {
  const attack = database.inTenant(attacker, async (trx) => {
    const countRows = async (statement: RawBuilder<{ n: number }>): Promise<number> => {
      await sql`SAVEPOINT attempt`.execute(trx)
      const { rows } = await statement.execute(trx).catch(async () => {
        await sql`ROLLBACK TO attempt`.execute(trx)
        return { rows: [] }
      })
      return rows[0]?.n ?? 0
    }
    await sql.raw(injection).execute(trx)
    const reached: string[] = []
    for (const { name, column } of tables) {
      const ofVictim = sql`FROM ${sql.table(name)} WHERE ${sql.ref(column)} = ${victim}::uuid`
      const read = await countRows(sql`SELECT count(*)::int AS n ${ofVictim}`)
      const deleted = await countRows(sql`DELETE ${ofVictim} RETURNING 1 AS n`)
      if (read + deleted > 0) reached.push(name)
    }
    return reached
  })
  return attack.catch(() => []) // The injected statement itself was refused.
}

t.test('injected SQL reaches no row of another organisation, in any tenant table', async (t) => {
  const { admin, attacker, victim, tables, attack } = await start(t)
  for (const { name, column } of tables) {
    const [row] = await rowsOf(admin, `SELECT count(*)::int AS n FROM ${name} WHERE ${column} = $1`, [victim])
    t.ok(row.n > 0, `there is something to reach in ${name}`)
  }

  const database = attack()
  for (const injection of injections(victim)) {
    t.strictSame(await reach({ database, attacker, victim, injection, tables }), [], injection)
  }
})

t.test(
  'injected SQL cannot add a statement, so nothing stays prepared for the next tenant of a connection',
  async (t) => {
    const { admin, attacker, victim, attack } = await start(t)
    const database = attack()
    const planted = `PREPARE planted AS SELECT '${victim}'`
    for (const injection of [
      `SELECT 1; ${planted}`,
      'SELECT 1; DEALLOCATE ALL',
      `${planted}; SELECT 1`,
      'COMMIT; BEGIN',
    ]) {
      const added = database.inTenant(attacker, (trx) => sql.raw(injection).execute(trx))
      await t.rejects(added, { code: '42601', message: /multiple commands/ }, injection)
      await t.resolves(admin.query(injection), `control: the simple protocol runs ${injection}`)
    }
  },
)

const sessionState = `
  SELECT current_user::text, session_user::text, pg_backend_pid() AS pid,
    coalesce(current_setting('app.user_id', true), '') AS acting_user,
    (SELECT json_object_agg(name, setting ORDER BY name)::text FROM pg_settings) AS settings,
    (SELECT count(*)::int FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks,
    (SELECT count(*)::int FROM pg_cursors WHERE is_holdable) AS cursors,
    (SELECT count(*)::int FROM pg_listening_channels()) AS channels`

t.test('nothing that injected SQL leaves on a connection acts on its next tenant', async (t) => {
  const { attacker, attack } = await start(t)
  const database = attack()
  const readState = async () => (await database.runGlobal({ name: 'state', text: sessionState, values: [] }))[0]
  const settings = [
    ...['DateStyle = German', 'statement_timeout = 3999', 'lock_timeout = 999', 'search_path = pg_temp'],
    ...['synchronous_commit = off', 'default_transaction_read_only = on', 'row_security = off', 'ROLE NONE'],
    `app.user_id = '${attacker}'`,
  ].map((setting) => `SET SESSION ${setting}`)
  const others = ['SELECT pg_advisory_lock(1)', 'LISTEN access', 'DECLARE planted CURSOR WITH HOLD FOR SELECT 1']
  const inject = (injection: string) => database.inTenant(attacker, (trx) => sql.raw(injection).execute(trx))
  await inject('SELECT 1')
  const before = await readState()
  t.match(before, { current_user: 'orders_app', acting_user: '', locks: 0, cursors: 0, channels: 0 })

  for (const injection of [...settings, ...others]) {
    await inject(injection)
    t.strictSame(await readState(), before, injection)

    await database.runGlobal({ name: injection.slice(0, 63), text: injection, values: [] })
    t.notSame(await readState(), before, `control: without a reset, it stays: ${injection}`)
    await inject('SELECT 1')
  }
})

t.test('control: with policies that trust a setting, one injected statement reads every tenant table', async (t) => {
  const { admin, attacker, victim, tables, attack } = await start(t)
  const plain = "(SELECT split_part(nullif(current_setting('app.org_id', true), ''), '.', 1)::uuid)"
  for (const { name, column } of tables) {
    await admin.query(`ALTER POLICY tenant ON ${name} USING (${column} = ${plain}) WITH CHECK (${column} = ${plain})`)
  }
  const injection = `SELECT set_config('app.org_id', '${victim}', true)`

  const reached = await reach({ database: attack(), attacker, victim, injection, tables })

  const [{ readable }] = await rowsOf(
    admin,
    `SELECT array_agg(name ORDER BY name) AS readable FROM unnest($1::text[]) AS name
      WHERE has_table_privilege('orders_app', name, 'SELECT')`,
    [tables.map(({ name }) => name)],
  )
  t.ok(readable.length > 10)
  t.strictSame(reached.toSorted(), readable)
})
