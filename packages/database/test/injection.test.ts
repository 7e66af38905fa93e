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
    /** Each transaction has a connection of its own, so that one injection leaves nothing to the next. */
    attack: () => open(t, login, { ...connectionOptions(login, { max: 1, contextKey }), maxUses: 1 }),
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
