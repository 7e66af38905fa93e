import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { migrateToLatest, migrationFolder, migrationNames } from '../src/migrate.ts'
import { createScratchDatabase, findStatisticsDifferences } from '../testing/index.ts'
import { createOwner } from './logins.ts'
import { addOther, insertOrders, org, other } from './orders-to-count.ts'
import { connect, rowsOf } from './session.ts'

const statistics = migrationNames.indexOf('0021-order-statistics')

/** A folder with the first migrations. */
function firstMigrations(t: Test, count: number): string {
  const folder = t.testdir({})
  for (const name of migrationNames.slice(0, count)) {
    copyFileSync(join(migrationFolder, `${name}.ts`), join(folder, `${name}.ts`))
  }
  return folder
}

const backfill = 'SELECT completed FROM order_statistics_backfill'

t.test('a database without orders needs no backfill', async (t) => {
  const { url } = await createScratchDatabase(t)
  t.strictSame(await rowsOf(await connect(t, url), backfill), [{ completed: true }])
})

t.test('a database with orders needs a backfill, also where a plain owner migrates', async (t) => {
  const { url, adminUrl, name } = await createScratchDatabase(t, { empty: true })
  const admin = await connect(t, adminUrl)
  const owner = await createOwner(admin, url, name)
  await migrateToLatest(owner, { folder: firstMigrations(t, statistics) })
  const superuser = await connect(t, url)
  await insertOrders(superuser, 'old-', 100)

  await migrateToLatest(owner)

  t.strictSame(await rowsOf(superuser, backfill), [{ completed: false }])
})

t.test('each way to write orders changes the statistics, and other updates do not', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  await addOther(admin)
  const changes = async () =>
    (await rowsOf(admin, 'SELECT count(*)::int AS rows FROM order_statistics_changes'))[0].rows
  for (const [sql, rows] of [
    [`INSERT INTO orders (org_id, id, amount, currency) SELECT '${org}', n, n, 'EUR' FROM generate_series(1, 9) n`, 1],
    [`INSERT INTO orders (org_id, id, amount, currency) VALUES ('${org}', '1', 1, 'EUR') ON CONFLICT DO NOTHING`, 0],
    [
      `INSERT INTO orders (org_id, id, amount, currency) VALUES ('${org}', '1', 1, 'EUR'), ('${org}', 'new', 1, 'USD')
      ON CONFLICT (org_id, id) DO UPDATE SET amount = 5`,
      2,
    ],
    [`UPDATE orders SET description = 'x', version = 2, updated_at = now()`, 0],
    [`UPDATE orders SET status = 'confirmed' WHERE id IN ('1', '2', 'new')`, 4],
    [`UPDATE orders SET amount = amount + 0.01 WHERE id = '3'`, 1],
    [`UPDATE orders SET currency = 'GBP' WHERE id = '3'`, 2],
    [`UPDATE orders SET metadata = '{"a": "ü"}' WHERE id = '4'`, 1],
    [`UPDATE orders SET created_at = created_at - interval '1 day' WHERE id = '4'`, 2],
    [`UPDATE orders SET org_id = '${other}' WHERE id = '4'`, 2],
    [`DELETE FROM orders WHERE id IN ('4', '5')`, 2],
    [`DELETE FROM orders WHERE id = 'no such order'`, 0],
    [
      `MERGE INTO orders o USING (VALUES ('6'), ('merged')) AS v (id) ON o.id = v.id WHEN MATCHED THEN DELETE
      WHEN NOT MATCHED THEN INSERT (org_id, id, amount, currency) VALUES ('${org}', v.id, 7, 'JPY')`,
      2,
    ],
    [
      `WITH gone AS (DELETE FROM orders WHERE id = '7' RETURNING *)
      INSERT INTO orders (org_id, id, amount, currency) SELECT org_id, 'copy', amount, 'CHF' FROM gone`,
      2,
    ],
  ] as const) {
    const before = await changes()
    await admin.query(sql)
    t.equal((await changes()) - before, rows, sql)
    t.strictSame(await findStatisticsDifferences(admin), [], sql)
  }
})

t.test('a rolled back order does not count', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  await admin.query('BEGIN')
  await insertOrders(admin, 'a', 3)
  await admin.query('ROLLBACK')
  t.strictSame(await rowsOf(admin, 'SELECT orders FROM order_statistics_changes'), [])
})
