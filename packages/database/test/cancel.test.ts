import pg from 'pg'
import t from 'tap'
import { connectionOptions } from '../src/connection.ts'
import { openDatabase } from '../src/database.ts'
import { createScratchDatabase, newOrganisation } from '../testing/index.ts'
import { connect, until } from './session.ts'
import { selectAll } from './tenant.ts'

const sleep = { name: 'sleep', text: 'SELECT pg_sleep(600)', values: [] }

t.test('an aborted read is cancelled in PostgreSQL, and no other statement is', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const orgId = await newOrganisation(url)
  const admin = await connect(t, url)
  await admin.query(`ALTER DATABASE "${name}" SET client_connection_check_interval = 0`)
  // Without limits of time: only the cancellation ends the statement.
  const pool = new pg.Pool({ ...connectionOptions(url, { max: 2 }), statement_timeout: 0, query_timeout: 0 })
  t.teardown(() => pool.end())
  const database = openDatabase(pool, () => {})
  const running = async () => {
    const text = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND state = 'active'"
    return (await admin.query<{ pid: number }>(text)).rows.length
  }
  const [one, other] = [new AbortController(), new AbortController()]
  const aborted = database.readInTenant(orgId, sleep, one.signal).catch((error) => error)
  const kept = database.readInTenant(orgId, sleep, other.signal).catch((error) => error)
  await until(async () => (await running()) === 2)

  const reason = new Error('the client left')
  one.abort(reason)

  t.equal(await aborted, reason)
  await until(async () => (await running()) === 1)
  t.same(await database.readInTenant(orgId, selectAll, new AbortController().signal), [], 'its connection is free')
  t.equal(await running(), 1, 'the other statement goes on')
  other.abort(reason)
  t.equal(await kept, reason)
  await until(async () => (await running()) === 0)
  t.equal(await database.readInTenant(orgId, sleep, other.signal).catch((error) => error), reason, 'aborted before')
})
