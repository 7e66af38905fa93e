import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '@orders/database/embedded'
import pg from 'pg'
import t from 'tap'
import { scrapeWorker } from '../src/check/service.ts'
import { gitopsRoot } from '../src/render.ts'
import { execute } from '../src/tools/cache.ts'

const CONTEXT_KEY = 'a random text of at least 32 characters'

/** The statements that the README gives an administrator, each password the name of its variable. */
function statements(): string {
  const [, sql] = /```sql\n([\s\S]+?)```/.exec(readFileSync(join(gitopsRoot, 'README.md'), 'utf8')) ?? []
  if (sql === undefined) throw new Error('The README has no SQL.')
  return sql.replace(/:('\w+')/g, '$1')
}

t.test('the users of the README migrate and work, and no more, where no superuser made them', async (t) => {
  const dataDir = join(tmpdir(), `orders-managed-${process.pid}`)
  const postgres = await startEmbeddedPostgres({ dataDir, disposable: true })
  t.teardown(async () => {
    await postgres.stop()
    await rm(dataDir, { recursive: true, force: true })
  })
  const as = (user: string, password: string, role?: string) => {
    const url = new URL(postgres.url)
    Object.assign(url, { username: user, password })
    if (role) url.searchParams.set('options', `-c role=${role}`)
    return url.href
  }
  const run = async (url: string, sql: string) => {
    const client = new pg.Client(url)
    await client.connect()
    return client.query(sql).finally(() => client.end())
  }
  // As of a cloud: it may make roles and is no superuser.
  const name = new URL(postgres.url).pathname.slice(1)
  await run(
    postgres.url,
    `CREATE ROLE admin LOGIN CREATEROLE CREATEDB PASSWORD 'admin'; ALTER DATABASE ${name} OWNER TO admin`,
  )
  await run(as('admin', 'admin'), statements())

  const migrate = [join(gitopsRoot, '../packages/database/src/migrate-cli.ts')]
  await execute('It was not migrated.', process.execPath, migrate, {
    DATABASE_URL: as('orders', 'migrate'),
    CONTEXT_KEY,
  })
  t.match(await scrapeWorker(as('orders_worker_login', 'worker'), { CONTEXT_KEY }), /^orders_events_lag_seconds 0$/m)
  await run(as('orders_api', 'api', 'orders_app'), 'SELECT FROM orders')
  await t.rejects(run(as('orders_api', 'api', 'orders_worker'), 'SELECT'), /permission denied to set role/)
  const asWorker = as('orders_worker_login', 'worker', 'orders_worker')
  await t.rejects(run(asWorker, "UPDATE orders SET status = 'cancelled'"), /permission denied/)
  await run(
    postgres.url,
    "INSERT INTO orders (org_id, id, amount, currency) SELECT id, 'a', 1, 'EUR' FROM organisations",
  )
  t.equal((await run(asWorker, 'DELETE FROM orders')).rowCount, 0, 'it deletes orders of removed organisations only')
  t.equal((await run(asWorker, 'SELECT FROM orders')).rowCount, 1)
})
