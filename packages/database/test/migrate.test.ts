import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { migrateToLatest, migrationFolder, migrationNames } from '../src/migrate.ts'
import { migrationSql } from '../src/migration-sql.ts'
import { createScratchDatabase } from '../testing/index.ts'
import { createOwner } from './logins.ts'
import { startOlderServer } from './older-server.ts'
import { connect, rowsOf, until } from './session.ts'

/** A folder with the released migrations and later ones of the given SQL. */
function plant(t: Test, later: Record<string, string>): string {
  const folder = t.testdir({})
  for (const name of migrationNames) copyFileSync(join(migrationFolder, `${name}.ts`), join(folder, `${name}.ts`))
  for (const [name, text] of Object.entries(later)) {
    writeFileSync(
      join(folder, `${name}.ts`),
      `import { sql } from 'kysely'\nexport const up = async (db) => void (await sql\`${text}\`.execute(db))\n`,
    )
  }
  return folder
}

function migrateInChild(url: string, folder: string): ChildProcess {
  const code = `import { migrateToLatest } from '${join(import.meta.dirname, '../src/migrate.ts')}'
    console.log(JSON.stringify(await migrateToLatest(process.argv[1], { folder: process.argv[2] })))`
  return spawn(process.execPath, ['--input-type=module', '-e', code, url, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

const columnsOfOrders = `SELECT column_name AS name FROM information_schema.columns
  WHERE table_name = 'orders' AND column_name LIKE 'planted%'`

t.test('a released migration never changes', async (t) => {
  for (const [name, { text }] of await migrationSql()) t.matchSnapshot(text, name)
})

t.test('migrates an empty database, once', async (t) => {
  const { url } = await createScratchDatabase(t, { empty: true })
  t.strictSame(await migrateToLatest(url), migrationNames)
  t.strictSame(await migrateToLatest(url), [])
})

t.test('eight at once on an empty database: one runs each migration, all end well', async (t) => {
  const { url } = await createScratchDatabase(t, { empty: true })
  const ran = await Promise.all(Array.from({ length: 8 }, () => migrateToLatest(url)))
  t.strictSame(ran.flat(), migrationNames)
})

t.test('a contraction waits until what it follows is a day old, except in an empty database', async (t) => {
  const folder = plant(t, {
    '9001-expand': 'ALTER TABLE orders ADD COLUMN planted_new text',
    '9002-contract.after-9001': 'ALTER TABLE orders ADD COLUMN planted_contracted text',
    '9003-later': 'ALTER TABLE orders ADD COLUMN planted_later text',
  })
  const { url } = await createScratchDatabase(t)
  const held: string[] = []
  const migrate = () => migrateToLatest(url, { folder, onHeldBack: (names) => held.push(...names) })
  t.strictSame(await migrate(), ['9001-expand', '9003-later'])
  t.strictSame(await migrate(), [], 'on the same day')
  t.strictSame(held, ['9002-contract.after-9001', '9002-contract.after-9001'])

  const session = await connect(t, url)
  await session.query(`UPDATE kysely_migration SET "timestamp" = ("timestamp"::timestamptz - interval '1 day')::text`)
  t.strictSame(await migrate(), ['9002-contract.after-9001'], 'a day later')

  const empty = await createScratchDatabase(t, { empty: true })
  const names = [...migrationNames, '9001-expand', '9002-contract.after-9001', '9003-later']
  t.strictSame(await migrateToLatest(empty.url, { folder }), names)
})

t.test('a killed migration leaves the old schema, and the next run completes it', async (t) => {
  const { url } = await createScratchDatabase(t)
  const session = await connect(t, url)
  await session.query('CREATE TABLE gate ()')
  const folder = plant(t, {
    '9002-first': 'ALTER TABLE orders ADD COLUMN planted_first text',
    '9003-slow': `DO $$ BEGIN
      ALTER TABLE orders ADD COLUMN planted_slow text;
      IF to_regclass('gate') IS NOT NULL THEN PERFORM pg_sleep(600); END IF;
    END $$`,
  })
  const child = migrateInChild(url, folder)
  const exited = once(child, 'exit')
  await until(async () => {
    const sleeping = await rowsOf(
      session,
      `SELECT FROM pg_stat_activity
      WHERE datname = current_database() AND application_name = 'orders-migrate' AND wait_event = 'PgSleep'`,
    )
    return sleeping.length === 1
  })
  child.kill('SIGKILL')
  await exited
  t.strictSame(await rowsOf(session, columnsOfOrders), [], 'nothing of it is there')

  // The backend of the dead process still holds its locks: PostgreSQL ends it within client_connection_check_interval.
  await session.query('DROP TABLE gate')
  const ran = migrateToLatest(url, { folder })
  t.strictSame(await ran, ['9002-first', '9003-slow'])
  t.strictSame(await rowsOf(session, columnsOfOrders), [{ name: 'planted_first' }, { name: 'planted_slow' }])
})

t.test('what runs beside readers and writers may fail halfway, and the next run clears it up', async (t) => {
  const { url } = await createScratchDatabase(t)
  const session = await connect(t, url)
  const folder = plant(t, { '9002-before': 'ALTER TABLE orders ADD COLUMN planted text' })
  writeFileSync(
    join(folder, '9003-unique.ts'),
    `import { sql } from 'kysely'
export const concurrent = true
export async function up(db) {
  await sql\`DROP INDEX CONCURRENTLY IF EXISTS planted\`.execute(db)
  await sql\`CREATE UNIQUE INDEX CONCURRENTLY planted ON organisations (name)\`.execute(db)
}
`,
  )
  await session.query("INSERT INTO organisations (name, slug) VALUES ('Default', 'twin')")
  await t.rejects(migrateToLatest(url, { folder }), { code: '23505' })
  t.strictSame(await rowsOf(session, columnsOfOrders), [{ name: 'planted' }], 'the one before it is done')
  const index = `SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass('planted')`
  t.strictSame(await rowsOf(session, index), [{ valid: false }], 'a broken index is left')

  await session.query("DELETE FROM organisations WHERE slug = 'twin'")
  t.strictSame(
    await Promise.all([migrateToLatest(url, { folder }), migrateToLatest(url, { folder })]).then((r) => r.flat()),
    ['9003-unique'],
  )
  t.strictSame(await rowsOf(session, index), [{ valid: true }])
})

t.test('a migration that fails changes nothing, and says why', async (t) => {
  const { url } = await createScratchDatabase(t)
  const folder = plant(t, {
    '9002-good': 'ALTER TABLE orders ADD COLUMN planted text',
    '9003-bad': 'ALTER TABLE no_such_table ADD COLUMN planted text',
  })
  await t.rejects(migrateToLatest(url, { folder }), { code: '42P01' })
  const session = await connect(t, url)
  t.strictSame(await rowsOf(session, columnsOfOrders), [])
  t.strictSame(
    await rowsOf(session, 'SELECT name FROM kysely_migration ORDER BY name'),
    migrationNames.map((name) => ({ name })),
  )
})

const readerHoldsMs = 2500

/** Runs `change` while a transaction has read orders, and tells how long other readers waited at most, in milliseconds. */
async function longestRead(t: Test, url: string, change: () => Promise<unknown>): Promise<number> {
  const [reader, probe] = [await connect(t, url), await connect(t, url)]
  await reader.query('BEGIN; SELECT count(*) FROM orders')
  const released = delay(readerHoldsMs).then(() => reader.query('COMMIT'))
  let changed = false
  const changing = change().finally(() => {
    changed = true
  })
  let longest = 0
  while (!changed) {
    const started = performance.now()
    await probe.query('SELECT count(*) FROM orders')
    longest = Math.max(longest, performance.now() - started)
  }
  await Promise.all([released, changing])
  return longest
}

t.test('a migration that waits for a long reader holds up the others for half a second', async (t) => {
  const { url } = await createScratchDatabase(t)
  const folder = plant(t, { '9002-column': 'ALTER TABLE orders ADD COLUMN planted text' })
  let ran: string[] = []
  const longest = await longestRead(t, url, async () => {
    ran = await migrateToLatest(url, { folder })
  })
  t.strictSame(ran, ['9002-column'], 'it completes once the reader is gone')
  t.ok(longest > 200, `readers did queue behind it: ${longest} ms`)
  t.ok(longest < 1500, `but not for long: ${longest} ms`)
  t.comment(`readers waited ${Math.round(longest)} ms at most`)

  const bare = await createScratchDatabase(t)
  const session = await connect(t, bare.url)
  const control = await longestRead(t, bare.url, () => session.query('ALTER TABLE orders ADD COLUMN planted text'))
  t.ok(control > 1800, `without lock_timeout they wait for the reader: ${control} ms`)
})

t.test('a migration that never gets its lock gives up in a sentence', async (t) => {
  const { url } = await createScratchDatabase(t)
  const folder = plant(t, { '9002-column': 'ALTER TABLE orders ADD COLUMN planted text' })
  const reader = await connect(t, url)
  await reader.query('BEGIN; SELECT count(*) FROM orders')
  await t.rejects(migrateToLatest(url, { folder, retryForMs: 100 }), {
    name: 'DatabaseError',
    message: /^Other transactions hold what a migration must change: end the long ones/,
  })
  await reader.query('COMMIT')
  t.strictSame(await migrateToLatest(url, { folder }), ['9002-column'])
})

t.test('a newer schema is left as it is', async (t) => {
  const { url } = await createScratchDatabase(t)
  const session = await connect(t, url)
  await session.query("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-later', '2999-01-01')")
  t.strictSame(await migrateToLatest(url), [])
})

t.test('an older server is refused in a sentence', async (t) => {
  const port = await startOlderServer(t)
  await t.rejects(migrateToLatest(`postgres://someone@127.0.0.1:${port}/orders`), {
    name: 'DatabaseError',
    message: 'The database runs PostgreSQL 17, and Orders needs 18 or newer: upgrade the server.',
  })
})

t.test('a plain owner of the database can migrate it', async (t) => {
  const { url, adminUrl, name } = await createScratchDatabase(t, { empty: true })
  const admin = await connect(t, adminUrl)
  const owner = await createOwner(admin, url, name)
  t.strictSame(await migrateToLatest(owner), migrationNames)
  const client = new pg.Client({ connectionString: owner })
  await client.connect()
  t.strictSame((await client.query('SELECT count(*)::int AS n FROM orders')).rows, [{ n: 0 }])
  await client.end()
})
