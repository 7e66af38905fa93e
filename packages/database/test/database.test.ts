import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { connectionOptions } from '../src/connection.ts'
import { openDatabase } from '../src/database.ts'
import { isUnavailable } from '../src/errors.ts'
import type { Statement } from '../src/statements.ts'
import { createScratchDatabase } from '../testing/index.ts'
import { connect, rowsOf, until } from './session.ts'
import { createValve } from './valve.ts'

const org = randomUUID()
const one: Statement = { name: 'one', text: 'SELECT 1 AS one', values: [] }
const sleep: Statement = { name: 'sleep', text: 'SELECT pg_sleep(600)', values: [] }

function open(t: Test, url: string, options: Partial<pg.PoolConfig> = {}) {
  const errors: Error[] = []
  const pool = new pg.Pool({ ...connectionOptions(url), ...options })
  t.teardown(() => pool.end())
  return { database: openDatabase(pool, (error) => errors.push(error)), pool, errors }
}

const faultOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  )

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const started = performance.now()
  return [await work, performance.now() - started]
}

t.test('a killed backend is an error that says so, and the next request is served', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const { database, pool, errors } = open(t, url, { max: 1 })
  const busy = async () => {
    const states = await rowsOf(
      admin,
      "SELECT state FROM pg_stat_activity WHERE datname = $1 AND application_name = 'orders' AND query ~ 'pg_sleep'",
      [name],
    )
    return states.some(({ state }) => state === 'active')
  }
  const kill = async () => {
    const pids =
      "SELECT pg_terminate_backend(pid, 5000) AS gone FROM pg_stat_activity WHERE datname = $1 AND application_name = 'orders'"
    t.strictSame(await rowsOf(admin, pids, [name]), [{ gone: true }])
  }

  await database.runInTenant(org, one)
  await kill()
  await until(() => pool.totalCount === 0)
  t.ok(isUnavailable(errors[0]), 'one that is idle: its listener is told')
  t.strictSame(await database.runInTenant(org, one), [{ one: 1 }])

  const burst = faultOf(database.runInTenant(org, sleep))
  await until(busy)
  await kill()
  t.ok(isUnavailable(await burst), 'one in the middle of a burst')
  t.strictSame(await database.runInTenant(org, one), [{ one: 1 }])

  const transaction = faultOf(database.inTenant(org, (trx) => sql`SELECT pg_sleep(600)`.execute(trx)))
  await until(busy)
  await kill()
  t.ok(isUnavailable(await transaction), 'one in a statement of a transaction')
  t.strictSame(await database.inTenant(org, async () => 'served'), 'served')

  const between = faultOf(
    database.inTenant(org, async (trx) => {
      await kill()
      return sql`SELECT 1`.execute(trx)
    }),
  )
  t.ok(isUnavailable(await between), 'one between the statements of a transaction')
  t.strictSame(await database.runInTenant(org, one), [{ one: 1 }])
})

t.test('without the listeners a killed backend would end the process', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const code = `import pg from 'pg'
    const client = await new pg.Pool({ connectionString: process.argv[1], application_name: 'orders' }).connect()
    await client.query('SELECT 1')
    console.log('connected')`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code, url], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const exited = once(child, 'exit')
  await once(child.stdout, 'data')
  await admin.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name = 'orders'",
    [name],
  )
  t.strictSame(await exited, [1, null])
})

t.test('a network that is cut ends a query within its client-side limit', async (t) => {
  const { url } = await createScratchDatabase(t)
  const limits = connectionOptions(url)
  t.ok(limits.query_timeout > limits.statement_timeout && limits.query_timeout <= 5000)

  const valve = await createValve(t, url)
  const { database } = open(t, valve.url, { query_timeout: 600, statement_timeout: 500 })
  await database.runInTenant(org, one)
  for (const [kind, run] of [
    ['burst', () => database.runInTenant(org, one)],
    ['transaction', () => database.inTenant(org, (trx) => sql`SELECT 1`.execute(trx))],
  ] as const) {
    valve.cut()
    const [fault, ms] = await timed(faultOf(run()))
    t.ok(isUnavailable(fault), `${kind}: ${fault}`)
    t.ok(ms < 2500, `${kind}: after ${Math.round(ms)} ms`)
    valve.mend()
    await run()
  }

  const patient = open(t, valve.url, { query_timeout: 0 } as pg.PoolConfig)
  await patient.database.runInTenant(org, one)
  valve.cut()
  const hung = patient.database.runInTenant(org, one).then(
    () => 'answered',
    () => 'refused',
  )
  t.equal(await Promise.race([hung, delay(2500, 'hung')]), 'hung', 'without the limit it hangs')
  valve.hangUp()
  t.equal(await hung, 'refused')
})

t.test('a pool with nothing left says so within a second', async (t) => {
  const { url } = await createScratchDatabase(t)
  const { database } = open(t, url, { max: 1 })
  const { promise: held, resolve: release } = Promise.withResolvers<void>()
  const holding = Promise.withResolvers<void>()
  const hold = async () => {
    holding.resolve()
    await held
  }
  const holder = database.inTenant(org, hold, { readOnly: true }) // one that writes takes turns with the others
  await holding.promise
  t.match(database.poolState(), { total: 1, idle: 0, waiting: 0, max: 1 })
  for (const run of [() => database.runInTenant(org, one), () => database.runGlobal(one)]) {
    const [fault, ms] = await timed(faultOf(run()))
    t.ok(isUnavailable(fault), String(fault))
    t.ok(ms > 500 && ms < 2000, `after ${Math.round(ms)} ms`)
  }
  release()
  await holder
  t.strictSame(await database.runInTenant(org, one), [{ one: 1 }])
})

t.test('a server that accepts and says nothing is given up after a second', async (t) => {
  const { url } = await createScratchDatabase(t)
  const valve = await createValve(t, url)
  valve.cut()
  const { database } = open(t, valve.url)
  const [fault, ms] = await timed(faultOf(database.runGlobal(one)))
  t.ok(isUnavailable(fault), String(fault))
  t.ok(ms < 2000, `after ${Math.round(ms)} ms`)
})

t.test('times come as text in microseconds, counts as numbers', async (t) => {
  const { url } = await createScratchDatabase(t)
  const { database } = open(t, url)
  const text = "SELECT '2026-01-02 03:04:05.678901+02'::timestamptz AS at, count(*) AS n, 1.50::numeric AS amount"
  t.strictSame(await database.runGlobal({ name: 'types', text, values: [] }), [
    { at: '2026-01-02 01:04:05.678901+00', n: 1, amount: '1.50' },
  ])
})

t.test('what cannot be sent leaves nothing half done', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  await admin.query('CREATE TABLE notes (text text); GRANT INSERT, SELECT ON notes TO orders_app')
  const { database } = open(t, url, { max: 1 })
  const note = (value: unknown) => ({
    name: 'note',
    text: 'INSERT INTO notes VALUES ($1) RETURNING text',
    values: [value],
  })
  const unsendable = {
    toPostgres: () => {
      throw new Error('it has no text')
    },
  }
  await t.rejects(database.runInTenant(org, note(unsendable)), { message: 'it has no text' })
  await t.rejects(
    database.runInTenant(org, note('first'), () => note(unsendable)),
    { message: 'it has no text' },
    'a transaction of two bursts is not committed without its second statement',
  )
  t.strictSame(await rowsOf(admin, 'SELECT text FROM notes'), [])
  t.strictSame(await database.runInTenant(org, note('first'), () => note('second')), [{ text: 'first' }])
  t.strictSame(await rowsOf(admin, 'SELECT text FROM notes'), [{ text: 'first' }, { text: 'second' }])
})

t.test('what follows from a statement for all runs in organisations, with the rights of an application', async (t) => {
  const { url } = await createScratchDatabase(t)
  const { database } = open(t, url, { ...connectionOptions(url, { role: 'orders_worker' }), max: 1 })
  const orgs = [randomUUID(), randomUUID()]
  const names = { name: 'names', text: 'SELECT unnest($1::uuid[]) AS org', values: [orgs] }
  const who = {
    name: 'who',
    text: "SELECT current_user AS role, split_part(current_setting('app.org_id', true), '.', 1) AS org",
    values: [],
  }
  const inEach = (rows: { org: string }[]) => rows.map(({ org }) => ({ orgId: org, statement: who }))
  const { rows, following } = await database.runGlobalThen<{ org: string }, object>(names, inEach)
  t.strictSame(
    rows.map(({ org }) => org),
    orgs,
  )
  t.strictSame(
    following,
    orgs.map((org) => [{ role: 'orders_app', org }]),
  )
  t.strictSame(await database.runGlobal(who), [{ role: 'orders_worker', org: '' }])
  t.strictSame((await database.runGlobalThen(names, () => [])).following, [])
})

t.test('an error tells who asked', async (t) => {
  const { url } = await createScratchDatabase(t)
  const { database } = open(t, url)
  const fault = await faultOf(database.runInTenant(org, { name: 'no_table', text: 'SELECT FROM nowhere', values: [] }))
  t.match((fault as Error).stack, /database\.test\.ts/)
  t.match(fault, { code: '42P01' })
})

t.test('only what may work later counts as unavailable', async (t) => {
  const withCode = (code: string) => Object.assign(new Error('x'), { code })
  for (const code of [
    'ECONNREFUSED',
    '08006',
    '53300',
    '57P01',
    '57014',
    '25006',
    '25P03',
    '55P03',
    '40001',
    '40P01',
  ]) {
    t.ok(isUnavailable(withCode(code)), code)
  }
  for (const code of ['23505', '23514', '42501', '42P01', 'ERR_INVALID_URL'])
    t.notOk(isUnavailable(withCode(code)), code)
  t.ok(isUnavailable(new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNREFUSED')])))
  t.notOk(isUnavailable(new AggregateError([withCode('ECONNREFUSED'), new Error('other')])))
  t.notOk(isUnavailable('text'))
})
