import t from 'tap'
import { createScratchDatabase, findStatisticsDifferences } from '../testing/index.ts'
import { createLogin } from './logins.ts'
import { insertOrders, org, other, startWriting } from './orders-to-count.ts'
import { run } from './run.ts'
import { connect } from './session.ts'

const rebuild = (url: string, ...args: string[]) => run('rebuild-statistics-cli', args, { DATABASE_URL: url })

t.test('the command compares statistics with orders, and corrects a row that differs', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  await insertOrders(admin, 'a', 30)
  const equal = `${org}: equal (10 orders)\n${other}: equal (20 orders)\nThe statistics of 2 organisations equal their orders.\n`
  t.strictSame(await rebuild(url, '--check'), { out: equal, err: '', code: 0 })
  t.strictSame(await rebuild(url), { out: equal, err: '', code: 0 })

  await admin.query(`
    INSERT INTO order_statistics SELECT org_id, day, currency, status, 1, 0.01, 0 FROM order_statistics_changes
    WHERE org_id = '${other}' LIMIT 2`)

  t.strictSame(await rebuild(url, '--check'), {
    out: `${org}: equal (10 orders)\n${other}: 2 rows differed (20 orders)\n`,
    err: 'The statistics of 1 organisations differ from their orders: run npx nx run database:rebuild-statistics.\n',
    code: 1,
  })
  t.equal((await findStatisticsDifferences(admin)).length, 4, 'the check changes nothing')
  t.strictSame(await rebuild(url), {
    out: `${org}: equal (10 orders)\n${other}: 2 rows differed, rebuilt and now equal (20 orders)\n`,
    err: 'The statistics of 1 organisations differed from their orders, and are rebuilt.\n',
    code: 1,
  })
  t.strictSame(await findStatisticsDifferences(admin), [])
  t.strictSame(await rebuild(url), { out: equal, err: '', code: 0 })
})

t.test('the command is exact beside writers and beside itself', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  await insertOrders(admin, 'old-', 2000)
  await admin.query('DELETE FROM order_statistics_changes WHERE id % 2 = 0')
  const writers = await Promise.all(['a', 'b'].map((prefix) => startWriting(t, url, prefix)))

  const runs = await Promise.all([1, 2, 3].map(() => rebuild(url)))

  t.strictSame(await findStatisticsDifferences(admin), [])
  for (const { stop } of writers) t.ok(await stop())
  t.strictSame(await findStatisticsDifferences(admin), [])
  t.ok(runs.some(({ code }) => code === 1))
  t.notMatch(runs.map(({ err }) => err).join(), /still differ/)
})

t.test('the command uses the CONTEXT_KEY of a login whose password is short', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const login = await createLogin(admin, url, { name: `rebuild_${name}`, role: 'orders_worker' })
  const key = { CONTEXT_KEY: 'a random text of at least 32 characters' }
  t.match(await run('migrate-cli', [], { DATABASE_URL: url, ...key }), { code: 0 })

  t.match(await run('rebuild-statistics-cli', [], { DATABASE_URL: login, ...key }), { err: '', code: 0 })
  t.match(await rebuild(login), { err: /^CONTEXT_KEY is not set/, code: 1 }, 'control: without it')
})

t.test('the command rejects an argument that it does not have', async (t) => {
  const { url } = await createScratchDatabase(t)
  t.strictSame(await rebuild(url, '--chekc'), {
    out: '',
    err: 'Unknown argument: use --check to compare and change nothing.\n',
    code: 1,
  })
})
