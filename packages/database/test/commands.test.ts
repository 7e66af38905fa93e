import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openCommandDatabase } from '../src/command-database.ts'
import { migrationNames } from '../src/migrate.ts'
import { seedOrders } from '../src/seed-orders.ts'
import { createProgress } from '../src/seed-progress.ts'
import { createScratchDatabase } from '../testing/index.ts'
import { createLogin } from './logins.ts'
import { run } from './run.ts'
import { connect, rowsOf } from './session.ts'

function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'orders-commands-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

t.test('migrate rejects a short context key, and reports when it registered none', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const keys = async () => (await rowsOf(admin, 'SELECT FROM context_keys')).length
  const before = await keys()
  const empty = join(temporaryFolder(t), 'key')
  writeFileSync(empty, '\n')
  for (const setting of [{ CONTEXT_KEY: 'abc' }, { CONTEXT_KEY_FILE: empty }]) {
    t.match(await run('migrate-cli', [], { DATABASE_URL: url, ...setting }), {
      err: /^CONTEXT_KEY has \d characters: set it to a random text of at least 32 characters\.\n$/,
      code: 1,
    })
  }
  t.equal(await keys(), before)

  const login = await createLogin(admin, url, { name: `migrate_${name}`, role: 'orders_app' })
  t.match(await run('migrate-cli', [], { DATABASE_URL: login }), {
    out: /No context key was registered: migrate again/,
  })
})

t.test('migrate says what it ran, and that nothing was left to run', async (t) => {
  const { url } = await createScratchDatabase(t, { empty: true })
  t.strictSame(await run('migrate-cli', [], { DATABASE_URL: url }), {
    out: migrationNames
      .map(
        (name) => `Migrated: ${name}
`,
      )
      .join(''),
    err: '',
    code: 0,
  })
  const file = join(temporaryFolder(t), 'url')
  writeFileSync(file, `${url}\n`)
  t.strictSame(await run('migrate-cli', [], { DATABASE_URL_FILE: file }), {
    out: 'The schema is up to date.\n',
    err: '',
    code: 0,
  })
})

t.test('migrate waits for a database that does not answer yet, for as long as DATABASE_WAIT_MS says', async (t) => {
  const address = new URL((await createScratchDatabase(t)).url)
  let attempts = 0
  const passThrough = (client: Socket) => {
    const server = createConnection(Number(address.port), address.hostname)
    client.on('error', () => server.destroy()).pipe(server)
    server.on('error', () => client.destroy()).pipe(client)
  }
  const slowNetwork = createServer((client) => (++attempts < 4 ? client.destroy() : passThrough(client)))
  slowNetwork.listen(0, '127.0.0.1')
  await once(slowNetwork, 'listening')
  t.teardown(() => slowNetwork.close())
  const through = new URL(address)
  through.port = String((slowNetwork.address() as AddressInfo).port)

  t.match(await run('migrate-cli', [], { DATABASE_URL: through.href }), { code: 1, err: /cannot be reached/ })
  t.strictSame(await run('migrate-cli', [], { DATABASE_URL: through.href, DATABASE_WAIT_MS: '60000' }), {
    out: 'The schema is up to date.\n',
    err: '',
    code: 0,
  })
})

t.test('a fault is one sentence and exit code 1', async (t) => {
  const { url } = await createScratchDatabase(t)
  const nowhere = new URL(url)
  nowhere.port = '1'
  for (const [command, args, env, expected] of [
    ['migrate-cli', [], { DATABASE_URL: nowhere.href }, /^The database cannot be reached \(.*\): start it, or .*\.\n$/],
    [
      'migrate-cli',
      [],
      { DATABASE_URL: url, DATABASE_WAIT_MS: '5s' },
      /^DATABASE_WAIT_MS must be a whole number from 0 to 600000, not "5s"\.\n$/,
    ],
    ['migrate-cli', [], { DATABASE_URL: 'nonsense' }, /^DATABASE_URL is not an address: write .*\.\n$/],
    [
      'migrate-cli',
      [],
      { DATABASE_URL_FILE: '/no/such/file' },
      /^DATABASE_URL_FILE cannot be read \(ENOENT\): .*\.\n$/,
    ],
    [
      'seed-cli',
      ['--count', '0'],
      { DATABASE_URL: url },
      /^--count takes a whole number from 1 to 100000000, not 0\.\n$/,
    ],
    [
      'seed-cli',
      ['--random-seed', '1.5'],
      { DATABASE_URL: url },
      /^--random-seed takes a whole number .*, not 1\.5\.\n$/,
    ],
    ['seed-cli', ['--cuont', '5'], { DATABASE_URL: url }, /^Unknown argument: use --count N, and .*\.\n$/],
    ['seed-cli', [], { DATABASE_URL: nowhere.href }, /^The database cannot be reached \(.*\.\n$/],
  ] as const) {
    const { out, err, code } = await run(command, [...args], env)
    t.match(err, expected)
    t.strictSame([out, code], ['', 1])
  }
})

t.test('seeding does not make a schema in a database of its own', async (t) => {
  const { url } = await createScratchDatabase(t, { empty: true })
  const { err, code } = await run('seed-cli', [], { DATABASE_URL: url })
  t.match(err, /run npx nx run database:migrate\.\n$/)
  t.equal(code, 1)
})

t.test('without an address, a command works on the local database, running or not', async (t) => {
  const dataDir = join(temporaryFolder(t), 'postgres')
  const started = await openCommandDatabase({}, dataDir)
  const joined = await openCommandDatabase({ DATABASE_URL: '' }, dataDir)
  t.equal(joined.url, started.url)
  await joined.close()
  await (await connect(t, started.url)).query('SELECT 1')
  await started.close()
  await t.rejects(connect(t, started.url), { code: 'ECONNREFUSED' })
})

t.test('seeded orders are what the service would have left behind, twice over', async (t) => {
  const { url } = await createScratchDatabase(t)
  const first = await run('seed-cli', ['--count=6000', '--random-seed', '42'], { DATABASE_URL: url })
  t.equal(first.code, 0, first.err)
  t.match(
    first.out,
    /^(?:16|83) % \d000\/6000\n100 % 6000\/6000\nAdded 6000 orders in [\d.]+ s \(\d+ a second, --random-seed 42\)\.\n$/,
  )
  const session = await connect(t, url)
  const content = `SELECT md5(string_agg(concat_ws(' ', amount, currency, status, description, metadata), ',' ORDER BY created_at)) AS sum
    FROM orders WHERE id > $1`
  const [before] = await rowsOf(session, content, [''])
  const [{ last }] = await rowsOf(session, 'SELECT max(id) AS last FROM orders')
  const again = await run('seed-cli', ['--count=6000', '--random-seed', '42'], { DATABASE_URL: url })
  t.equal(again.code, 0, again.err)
  t.ok(last && before)

  const none = async (what: string, query: string) => t.strictSame(await rowsOf(session, query), [], what)
  t.strictSame(await rowsOf(session, 'SELECT count(*)::int AS n FROM orders'), [{ n: 12_000 }])
  await none(
    'each change has an event and an outbox row, without a gap',
    `SELECT o.id FROM orders o LEFT JOIN order_events e ON (e.org_id, e.order_number) = (o.org_id, o.number)
      LEFT JOIN outbox x ON (x.org_id, x.order_ids, x.sequence) = (o.org_id, ARRAY[o.id], e.sequence)
      GROUP BY o.org_id, o.id HAVING count(x.id) <> o.version
        OR array_agg(e.sequence ORDER BY e.sequence) <> ARRAY(SELECT generate_series(1, o.version))`,
  )
  await none(
    'nothing else was written',
    'SELECT 1 FROM outbox HAVING sum(events) <> (SELECT count(*) FROM order_events)',
  )
  await none(
    'the last event shows the order as it is',
    `SELECT o.id FROM orders o JOIN order_events e ON (e.org_id, e.order_number, e.sequence) = (o.org_id, o.number, o.version)
      WHERE e.type <> 'orders.order.' || o.status || '.v1' OR e.occurred_at <> o.updated_at
        OR (e.status, e.description, e.metadata) IS DISTINCT FROM (o.status, o.description, o.metadata)`,
  )
  await none(
    'times lie in the last 90 days and in order',
    `SELECT id FROM orders WHERE created_at < now() - interval '90 days 1 minute' OR updated_at < created_at OR updated_at > now()
        OR (version = 1) <> (updated_at = created_at)`,
  )
  await none(
    'events follow the state machine',
    `SELECT order_number, array_agg(type ORDER BY sequence) FROM order_events GROUP BY org_id, order_number
      HAVING string_agg(split_part(type, '.', 3), ' ' ORDER BY sequence) !~ '^placed( confirmed( completed)?| cancelled| confirmed cancelled)?$'`,
  )
  const spread = await rowsOf(
    session,
    `SELECT count(DISTINCT created_at::date)::int >= 90 AS days, count(DISTINCT currency) AS currencies,
      count(DISTINCT status) AS statuses, bool_or(description IS NULL) AND bool_or(description IS NOT NULL) AS descriptions,
      count(DISTINCT amount)::int > 4000 AS amounts FROM orders`,
  )
  t.strictSame(spread, [{ days: true, currencies: '7', statuses: '4', descriptions: true, amounts: true }])
})

t.test('the same seed gives the same orders, another seed others', async (t) => {
  const orders = (seed: number) => [...seedOrders(500, seed)]
  t.strictSame(orders(7), orders(7))
  t.notSame(orders(7), orders(8))
  const ages = orders(7).map(({ age }) => age)
  t.strictSame(
    [...ages].sort((a, b) => b - a),
    ages,
    'oldest first',
  )
})

t.test('progress is a bar in a terminal and lines elsewhere', async (t) => {
  const shown = (isTTY: boolean, columns?: number) => {
    const written: string[] = []
    const write = (text: string) => written.push(text) > 0
    const output = { isTTY, columns, write } as unknown as NodeJS.WriteStream
    const progress = createProgress(output, 40)
    for (const done of [1, 20, 40]) progress(done)
    return written.join('')
  }
  t.equal(shown(false), '50 % 20/40\n100 % 40/40\n')
  t.equal(
    shown(true, 30),
    ['\r[---------------]   2 %  1/40', '\r[########-------]  50 % 20/40', '\r[###############] 100 % 40/40\n'].join(
      '',
    ),
  )
})
