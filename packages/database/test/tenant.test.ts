import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { explainDatabaseError } from '../src/errors.ts'
import type { Statement } from '../src/statements.ts'
import { createScratchDatabase, newOrganisation } from '../testing/index.ts'
import { connect } from './session.ts'
import { insertOrder, open, selectAll, whatIsLeft } from './tenant.ts'

t.test('without a tenant there are no rows, and none can be written', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url)
  const org = await newOrganisation(url)
  t.strictSame(await database.runGlobal(whatIsLeft), [{ tenant: '', orders: 0 }])
  await database.runInTenant(org, insertOrder(org, 'a'))
  t.strictSame(await database.runInTenant(org, selectAll), [{ id: 'a', org_id: org }])
  t.strictSame(await database.runGlobal(whatIsLeft), [{ tenant: '', orders: 0 }], 'nor after one was set')
  await t.rejects(database.runGlobal(insertOrder(org, 'b')), { code: '42501' })
  await t.rejects(database.runInTenant(randomUUID(), insertOrder(org, 'b')), { code: '42501' }, 'nor for another one')
  await t.rejects(database.runInTenant('no uuid', selectAll), { code: '22P02' })
})

t.test('what a statement must not do, it cannot', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url)
  const org = await newOrganisation(url)
  await database.runInTenant(org, insertOrder(org, 'a'))
  for (const [text, code] of [
    ['TRUNCATE orders', '42501'],
    ['DELETE FROM orders', '42501'],
    ['UPDATE orders SET amount = 2', '42501'],
    ['UPDATE order_events SET sequence = 2', '42501'],
    ['CREATE TABLE planted ()', '42501'],
    ['CREATE TEMPORARY TABLE planted ()', '42501'],
    ['SELECT lo_create(0)', '42501'],
    ["SELECT lo_from_bytea(0, 'planted')", '42501'],
    ['SELECT key FROM service_keys', '42501'],
    ['SELECT inner_key FROM context_keys', '42501'],
    ['ALTER TABLE orders DISABLE ROW LEVEL SECURITY', '42501'],
    ['DROP TABLE orders', '42501'],
  ] as const) {
    await t.rejects(database.runInTenant(org, { name: text, text, values: [] }), { code }, text)
  }
})

t.test('a read cannot write, and sees the same', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url)
  const org = await newOrganisation(url)
  await t.rejects(database.readInTenant(org, insertOrder(org, 'a')), { code: '25006' })
  await database.runInTenant(org, insertOrder(org, 'a'))
  t.strictSame(await database.readInTenant(org, selectAll), [{ id: 'a', org_id: org }])
  t.strictSame(await database.readInTenant(randomUUID(), selectAll), [])
})

t.test('a tenant set for a session leaks, and the look for what is left shows it', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url)
  const org = await newOrganisation(url)
  await database.runInTenant(org, insertOrder(org, 'a'))
  const text = "SELECT set_config('app.org_id', current_setting('app.org_id'), false)"
  await database.runInTenant(org, { name: 'keep_tenant', text, values: [] })
  t.strictSame(await database.runGlobal(whatIsLeft), [{ tenant: org, orders: 1 }])
})

t.test('a transaction whose failure was swallowed is no success', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url)
  const org = await newOrganisation(url)
  const swallowing = database.inTenant(org, async (trx) => {
    await trx
      .insertInto('orders')
      .values({ org_id: org, id: 'a', amount: '1', currency: 'EUR', metadata: '{}' })
      .execute()
    await sql`SELECT 1 / 0`.execute(trx).catch(() => {})
    return 'done'
  })
  await t.rejects(swallowing, 'it was rolled back')
  t.strictSame(await database.runInTenant(org, selectAll), [])
})

const whoAmI: Statement = {
  name: 'who_am_i',
  text: `SELECT current_user AS role, session_user AS login, current_setting('geqo') AS geqo`,
  values: [],
}

t.test('steps down to orders_app', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const login = async (suffix: string, statements: string) => {
    const user = `${suffix}_${name}`.slice(0, 63)
    await admin.query(`CREATE ROLE "${user}" LOGIN PASSWORD 'secret'; ${statements.replaceAll('USER', `"${user}"`)}`)
    const address = new URL(url)
    address.username = user
    address.password = 'secret'
    return address.href
  }
  const member = await login('member', 'GRANT orders_app TO USER')
  const stranger = await login('stranger', '')

  t.match(await open(t, url).runGlobal(whoAmI), [{ role: 'orders_app', login: 'postgres' }], 'from a superuser')
  t.match(await open(t, member).runGlobal(whoAmI), [{ role: 'orders_app' }], 'from a plain member')
  const refusal = await open(t, stranger)
    .runGlobal(whoAmI)
    .then(
      () => undefined,
      (error) => error,
    )
  t.equal(
    explainDatabaseError(refusal),
    'The user of DATABASE_URL may not become orders_app: run GRANT orders_app TO that user as its owner.',
    'and not from a stranger',
  )

  const withOptions = `${url}?options=${encodeURIComponent('-c geqo=off -c role=postgres')}`
  t.match(
    await open(t, withOptions).runGlobal(whoAmI),
    [{ role: 'orders_app', geqo: 'off' }],
    "beside the address's own options",
  )
})

t.test('RESET ROLE stays orders_app; SET ROLE NONE is why the login should have no more rights', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url)
  const after = (statement: string) =>
    database.inTenant(randomUUID(), async (trx) => {
      await sql.raw(statement).execute(trx)
      const { rows } = await sql<{ role: string }>`SELECT current_user AS role`.execute(trx)
      return rows[0]?.role
    })
  t.equal(await after('RESET ROLE'), 'orders_app')
  t.equal(await after('RESET ALL'), 'orders_app')
  await t.rejects(after('DISCARD ALL'), { code: '25001' })
  t.equal(await after('SET LOCAL ROLE NONE'), 'postgres')
  t.equal(await after('SELECT'), 'orders_app', 'and it is over with the transaction')
})
