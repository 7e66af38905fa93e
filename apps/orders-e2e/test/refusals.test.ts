import { once } from 'node:events'
import { createServer } from 'node:net'
import { createCluster, createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { startService } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

/** A scratch database whose address, or whose state, has one fault. */
async function spoilt(t: Test, change: { address?: (url: URL) => void; state?: (name: string) => string[] }) {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  for (const statement of change.state?.(name) ?? []) await admin.query(statement)
  const address = new URL(url)
  change.address?.(address)
  return { DATABASE_URL: address.href }
}

// The server's command line fixes full_page_writes, so the name is made to mean another function.
const fullPageWritesOff = (name: string) => [
  'CREATE SCHEMA shadow',
  'GRANT USAGE ON SCHEMA shadow TO orders_app',
  `CREATE FUNCTION shadow.current_setting(name text) RETURNS text LANGUAGE sql AS
     $$ SELECT CASE name WHEN 'full_page_writes' THEN 'off' ELSE pg_catalog.current_setting(name) END $$`,
  `ALTER DATABASE "${name}" SET search_path = shadow, pg_catalog, public`,
]

type Case = [name: string, settings: (t: Test) => Promise<Record<string, string>>, sentence: RegExp]

const cases: Case[] = [
  [
    'a wrong password',
    (t) => spoilt(t, { address: (url) => Object.assign(url, { password: 'wrong' }) }),
    /^The database refuses the login \(.+\): check the user and the password in DATABASE_URL\.$/,
  ],
  [
    'a database that is not there',
    (t) => spoilt(t, { address: (url) => Object.assign(url, { pathname: 'nowhere' }) }),
    /^The database does not exist \(.+\): create it, or correct the name in DATABASE_URL\.$/,
  ],
  [
    'a server that is not there',
    async () => ({ DATABASE_URL: 'postgres://a:b@127.0.0.1:1/orders', DATABASE_WAIT_MS: '300' }),
    /^The database cannot be reached \(.*ECONNREFUSED.*\): start it, or correct DATABASE_URL\.$/,
  ],
  [
    'an older schema',
    (t) => spoilt(t, { state: () => ['DELETE FROM kysely_migration'] }),
    /^The schema is older than this release needs \(missing: .+\): run npx nx run database:migrate\.$/,
  ],
  [
    'a context key that the database does not know',
    async (t) => ({ ...(await spoilt(t, {})), CONTEXT_KEY: 'another text of at least 32 characters' }),
    /^CONTEXT_KEY is not registered in the database: run npx nx run database:migrate with the same .+\.$/,
  ],
  [
    // Sessions set it to on, whatever the database has; the options of the address come after that.
    'synchronous_commit=off',
    (t) => spoilt(t, { address: (url) => url.searchParams.set('options', '-c synchronous_commit=off') }),
    /^The database runs with synchronous_commit=off, so an acknowledged order could be lost: set it to on\.$/,
  ],
  [
    'fsync=off',
    async (t) => ({ DATABASE_URL: (await createCluster(t, { durable: false })).url }),
    /^The database runs with fsync=off, so an acknowledged order could be lost: set it to on\.$/,
  ],
  [
    'full_page_writes=off',
    (t) => spoilt(t, { state: fullPageWritesOff }),
    /^The database runs with full_page_writes=off, so an acknowledged order could be lost: set it to on\.$/,
  ],
  [
    'a port that is taken',
    async (t) => {
      const squatter = createServer().listen(0, '127.0.0.1')
      t.teardown(() => squatter.close())
      await once(squatter, 'listening')
      const { port } = squatter.address() as { port: number }
      return { ...(await spoilt(t, {})), PORT: String(port) }
    },
    /^Port \d+ is taken: stop what uses it, or set PORT \(or ADMIN_PORT\) to another one\.$/,
  ],
  [
    'a proxy that is no address',
    async (t) => ({ ...(await spoilt(t, {})), TRUSTED_PROXIES: '10.0.0.0/8,abc' }),
    /^TRUSTED_PROXIES has "abc": write addresses and CIDRs of your proxies, such as 10\.0\.0\.0\/8\.$/,
  ],
  ...['0.0.0.0/0', '10/8', '010.0.0.0/8', '1'].map((proxy): (typeof cases)[number] => [
    `the proxy ${proxy}`,
    async (t) => ({ ...(await spoilt(t, {})), TRUSTED_PROXIES: `10.0.0.0/255.0.0.0,${proxy}` }),
    new RegExp(
      `^TRUSTED_PROXIES has "${proxy}": write addresses and CIDRs of your proxies, such as 10\\.0\\.0\\.0/8\\.$`,
    ),
  ]),
  [
    'an address of Cosmos DB that is none',
    async () => ({ DATABASE_URL: 'postgres://a:b@127.0.0.1:1/orders', HISTORY_COSMOS_ENDPOINT: 'http://account' }),
    /^Cannot start with these settings:\n {2}HISTORY_COSMOS_ENDPOINT must be like https:\/\/\S+, not "http:\/\/account": .+\.$/,
  ],
  [
    'Cosmos DB and no workload identity',
    async (t) => ({ ...(await spoilt(t, {})), HISTORY_COSMOS_ENDPOINT: 'https://localhost:1/' }),
    /^HISTORY_COSMOS_ENDPOINT needs a workload identity: set AZURE_CLIENT_ID, .+\.$/,
  ],
  [
    'settings with faults, all at once',
    async () => ({ PORT: '70000', LOG_LEVEL: 'loud', DATABASE_POOL_MAX: 'many', DATABASE_URL_FILE: '/none' }),
    /^Cannot start with these settings:\n {2}DATABASE_URL_FILE .+\n {2}PORT .+\n {2}DATABASE_POOL_MAX .+\n {2}LOG_LEVEL .+$/,
  ],
]

for (const [name, prepare, sentence] of cases) {
  t.test(`refuses to start with ${name}, in a sentence`, async (t) => {
    const service = startService(await prepare(t))
    t.teardown(async () => {
      service.kill('SIGKILL')
      await service.exited
    })
    t.strictSame(await service.exited, { code: 1, signal: null })
    t.match(service.output.stderr.trimEnd(), sentence)
    t.equal(service.output.stdout, '')
  })
}
