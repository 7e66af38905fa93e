import pg from 'pg'
import t, { type Test } from 'tap'
import { connectionOptions } from '../src/connection.ts'
import { type Database, openDatabase } from '../src/database.ts'
import { explainDatabaseError, isUnavailable } from '../src/errors.ts'
import { createCluster, createScratchDatabase, newOrganisation } from '../testing/index.ts'
import { connect, until } from './session.ts'
import { insertOrder, selectAll } from './tenant.ts'

const digest = Buffer.alloc(32)

function open(t: Test, url: string) {
  const pool = new pg.Pool(connectionOptions(url, { max: 2 }))
  const changes: (string | undefined)[] = []
  t.teardown(() => pool.end())
  const database = openDatabase(
    pool,
    () => {},
    (fault) => changes.push(fault),
  )
  return { database, changes, pool }
}

/** Every way in which a process writes for a client. */
const writes = (database: Database, orgId: string): Record<string, () => Promise<unknown>> => ({
  runInTenant: () => database.runInTenant(orgId, insertOrder(orgId, 'one')),
  'runInTenant in two': () => database.runInTenant(orgId, insertOrder(orgId, 'one'), () => undefined),
  inTenant: () => database.inTenant(orgId, async () => {}),
  runAsHolder: () => database.runAsHolder(digest, selectAll),
  runExclusively: () => database.runExclusively(1, selectAll),
  runGlobalThen: () => database.runGlobalThen(selectAll, () => []),
})

async function assertRefused(t: Test, database: Database, orgId: string, message: RegExp) {
  for (const [name, write] of Object.entries(writes(database, orgId))) {
    const error = await write().catch((error) => error)
    t.match(error, { name: 'NotDurableError', message }, name)
    t.ok(isUnavailable(error), 'the same request may be repeated')
    t.match(explainDatabaseError(error), message)
  }
  t.ok(await database.readInTenant(orgId, selectAll), 'reads go on')
  t.same(await database.inTenant(orgId, async () => 'read', { readOnly: true }), 'read')
}

t.test('pins synchronous_commit on every connection', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const orgId = await newOrganisation(url)
  await (await connect(t, url)).query(`ALTER DATABASE "${name}" SET synchronous_commit = off`)
  const { database, changes } = open(t, url)

  await database.runInTenant(orgId, insertOrder(orgId, 'one'))

  const show = { name: 'show', text: "SELECT current_setting('synchronous_commit') AS value", values: [] }
  t.same(await database.runGlobal(show), [{ value: 'on' }])
  t.same(changes, [])
})

t.test('refuses writes while a server is not durable, and accepts them again', async (t) => {
  const cluster = await createCluster(t, { durable: 'configured' })
  const orgId = await newOrganisation(cluster.url)
  const admin = await connect(t, cluster.url)
  const { database, changes } = open(t, cluster.url)
  for (const name of ['fsync', 'full_page_writes']) {
    await database.inTenant(orgId, async () => {})
    await admin.query(`ALTER SYSTEM SET ${name} = off`)
    await admin.query('SELECT pg_reload_conf()')
    await until(async () => {
      await database.checkDurability()
      return database.durabilityFault() !== undefined
    })

    await assertRefused(t, database, orgId, new RegExp(`^The database runs with ${name}=off, `))

    await admin.query(`ALTER SYSTEM RESET ${name}`)
    await admin.query('SELECT pg_reload_conf()')
    await until(async () => {
      await database.checkDurability()
      return database.durabilityFault() === undefined
    })
  }
  await database.runInTenant(orgId, insertOrder(orgId, 'one'))
  t.equal(database.durabilityFault(), undefined)
  t.equal(changes.length, 4, 'each change is reported once')
  t.match(changes, [/fsync=off/, undefined, /full_page_writes=off/, undefined])
})

t.test('checks a new connection before its first write', async (t) => {
  const { url } = await createScratchDatabase(t)
  const orgId = await newOrganisation(url)
  const admin = await connect(t, url)
  const { database, changes, pool } = open(t, url)
  await database.runInTenant(orgId, insertOrder(orgId, 'one'))
  const durable = await pool.connect()
  await admin.query(`
    CREATE FUNCTION forget() RETURNS event_trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config('synchronous_commit', 'off', false); END $$;
    CREATE EVENT TRIGGER forget ON login EXECUTE FUNCTION forget()`)

  await assertRefused(t, database, orgId, /synchronous_commit=off/)

  await admin.query('DROP EVENT TRIGGER forget')
  await database.checkDurability() // on a new connection: the other one was closed after its use
  durable.release()
  await database.runInTenant(orgId, insertOrder(orgId, 'two'))
  t.match(changes, [/synchronous_commit=off/, undefined])
})

t.test('refuses writes on a server that was restarted with other settings', async (t) => {
  const cluster = await createCluster(t)
  const orgId = await newOrganisation(cluster.url)
  const { database } = open(t, cluster.url)
  await database.runInTenant(orgId, insertOrder(orgId, 'one'))
  await cluster.shutdown()
  await cluster.restart({ durable: false })

  // Connections of the earlier server may break once each.
  await database.runGlobal(selectAll).catch(() => {})
  t.match(
    await database.runInTenant(orgId, insertOrder(orgId, 'two')).catch((error) => error),
    { name: 'NotDurableError' },
    'without a check by a timer',
  )

  await cluster.shutdown()
  await cluster.restart()
  await until(() =>
    database.checkDurability().then(
      () => true,
      () => false,
    ),
  )
  await database.runInTenant(orgId, insertOrder(orgId, 'two'))
})
