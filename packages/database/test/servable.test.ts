import t from 'tap'
import { expansionOf } from '../src/contractions.ts'
import { explainDatabaseError } from '../src/errors.ts'
import { migrationNames } from '../src/migrate.ts'
import { assertSchema, assertServable } from '../src/servable.ts'
import { createCluster, createScratchDatabase } from '../testing/index.ts'
import { connect } from './session.ts'
import { open } from './tenant.ts'

t.test('serves from a durable database with the latest schema', async (t) => {
  const { url } = await createScratchDatabase(t)
  await assertServable(open(t, url))
})

t.test('serves from a newer schema', async (t) => {
  const { url } = await createScratchDatabase(t)
  await (await connect(t, url)).query("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999', '2999')")
  await assertServable(open(t, url))
})

t.test('refuses a schema that has lost what this release uses', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const apply = (name: string) =>
    admin.query("INSERT INTO kysely_migration (name, timestamp) VALUES ($1, '2999')", [name])

  await apply('9998-drop-something.after-0001')
  await assertServable(open(t, url))

  await apply('9999-drop-more.after-9997')
  await t.rejects(assertServable(open(t, url)), {
    name: 'DatabaseError',
    message: 'The schema no longer supports this release: deploy a release with the migration 9997 or a later one.',
  })
})

t.test('refuses a schema that is older, or that is not there', async (t) => {
  const needed = migrationNames.filter((name) => expansionOf(name) === undefined).join(', ')
  const sentence = `The schema is older than this release needs (missing: ${needed}): run npx nx run database:migrate.`
  const { url } = await createScratchDatabase(t)
  await (await connect(t, url)).query('DELETE FROM kysely_migration')
  await t.rejects(assertServable(open(t, url)), { name: 'DatabaseError', message: sentence })
  const empty = await createScratchDatabase(t, { empty: true })
  await t.rejects(assertSchema(open(t, empty.url)), { name: 'DatabaseError', message: sentence })
})

t.test('refuses a connection that may see more than one organisation', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const privileged = open(t, url, { options: '' })
  await t.rejects(assertServable(privileged), {
    name: 'DatabaseError',
    message:
      "Orders will not serve as postgres, which may see other organisations' rows: grant orders_app to the user of DATABASE_URL.",
  })
  for (const [grant, revoke] of [
    ['ALTER ROLE orders_app BYPASSRLS', 'ALTER ROLE orders_app NOBYPASSRLS'],
    ['ALTER ROLE orders_app SUPERUSER', 'ALTER ROLE orders_app NOSUPERUSER'],
    ['ALTER TABLE orders OWNER TO orders_app', 'ALTER TABLE orders OWNER TO postgres'],
  ] as const) {
    await admin.query(grant)
    await t.rejects(assertServable(open(t, url)), { message: /^Orders will not serve as orders_app, which/ }, grant)
    await admin.query(revoke)
  }
})

t.test('refuses a superuser, whose rights injected SQL would regain, except in an embedded database', async (t) => {
  const { url } = await createScratchDatabase(t)
  await assertServable(open(t, url))
  const elsewhere = `${url}?options=${encodeURIComponent('-c orders.embedded=off')}`
  await t.rejects(assertServable(open(t, elsewhere)), {
    name: 'DatabaseError',
    message:
      'DATABASE_URL logs in as postgres, which bypasses Row-Level Security: use a login without SUPERUSER and BYPASSRLS.',
  })
})

t.test('refuses a commit that a crash could undo', async (t) => {
  const { url } = await createScratchDatabase(t)
  for (const value of ['off', 'local']) {
    const careless = `${url}?options=${encodeURIComponent(`-c synchronous_commit=${value}`)}`
    await t.rejects(assertServable(open(t, careless)), {
      name: 'DatabaseError',
      message: `The database runs with synchronous_commit=${value}, so an acknowledged order could be lost: set it to on.`,
    })
  }
  const careless = await createCluster(t, { durable: false })
  await t.rejects(assertServable(open(t, careless.url)), { message: /^The database runs with fsync=off, / })
})

t.test('says in a sentence what is wrong with the address', async (t) => {
  const { url, adminUrl } = await createScratchDatabase(t)
  const explain = async (change: (address: URL) => void) => {
    const address = new URL(url)
    change(address)
    return open(t, address.href)
      .runGlobal({ name: 'one', text: 'SELECT 1', values: [] })
      .then(() => 'no fault', explainDatabaseError)
  }
  t.match(
    await explain((address) => {
      address.password = 'wrong'
    }),
    /^The database refuses the login \(password authentication failed .*\): check the user and the password/,
  )
  t.match(
    await explain((address) => {
      address.pathname = 'nowhere'
    }),
    /^The database does not exist \(database "nowhere" does not exist\): create it/,
  )
  t.match(
    await explain((address) => {
      address.port = '1'
    }),
    /^The database cannot be reached \(connect ECONNREFUSED 127\.0\.0\.1:1\): start it/,
  )
  t.equal(await explain((address) => Object.assign(address, { pathname: new URL(adminUrl).pathname })), 'no fault')
  t.match(explainDatabaseError(Object.assign(new Error('x'), { code: 'ERR_INVALID_URL' })), /^DATABASE_URL is not an/)
  t.match(
    explainDatabaseError(Object.assign(new Error('role "orders_app" does not exist'), { code: '22023' })),
    /^The database has no schema yet/,
  )
  t.equal(explainDatabaseError(new Error('anything else')), undefined)
  t.equal(explainDatabaseError('no error'), undefined)
})
