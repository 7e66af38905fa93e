import { randomUUID } from 'node:crypto'
import t, { type Test } from 'tap'
import { connectionOptions } from '../src/connection.ts'
import { contextKeyOf, createContextSigner } from '../src/context.ts'
import { isUnavailable } from '../src/errors.ts'
import { migrateToLatest } from '../src/migrate.ts'
import { assertSchema, assertServable } from '../src/servable.ts'
import { createScratchDatabase, newOrganisation } from '../testing/index.ts'
import { createLogin } from './logins.ts'
import { connect, rowsOf } from './session.ts'
import { insertOrder, open, selectAll } from './tenant.ts'

const contextKey = 'a random text of at least 32 characters'

/** A database with an order of one organisation, and a session that acts as orders_app. */
async function start(t: Test) {
  const { url } = await createScratchDatabase(t)
  const org = await newOrganisation(url)
  await open(t, url).runInTenant(org, insertOrder(org, 'a'))
  const session = await connect(t, url)
  await session.query('SET ROLE orders_app')
  const read = async (context: string) => {
    await session.query("SELECT set_config('app.org_id', $1, false)", [context])
    return (await rowsOf(session, 'SELECT id FROM orders')).length
  }
  return { url, org, session, read }
}

const key = (url: string) => contextKeyOf(url) as Buffer

/** Signs as the service does; its clock shows the time `age` seconds ago. */
function signAt(signer: Buffer, age: number, orgId: string): string {
  const { sign, observe } = createContextSigner(signer, () => 0)
  observe(Date.now() / 1000 - age)
  return sign('org_id', orgId)
}

t.test('accepts a context for 30 s, and rejects it afterwards', async (t) => {
  const { url, org, read } = await start(t)

  t.equal(await read(signAt(key(url), 0, org)), 1)
  t.equal(await read(signAt(key(url), 10, org)), 1)
  const expired = await read(signAt(key(url), 35, org)).catch((error: Error) => error)
  t.match(expired, { code: '42501', message: 'the context has expired' })
  t.ok(isUnavailable(expired), 'the same request may be repeated')
})

t.test('rejects a context that is not signed, is changed, or is signed with another key', async (t) => {
  const { url, org, read } = await start(t)
  const context = signAt(key(url), 0, org)
  const [value, expiry, signature] = context.split('.') as [string, string, string]
  const other = randomUUID()

  for (const forged of [
    org,
    `${org}.${expiry}`,
    `${org}.${expiry}.`,
    `${other}.${expiry}.${signature}`,
    `${value}.${Number(expiry) + 1}.${signature}`,
    `${value}.${expiry}.${'0'.repeat(64)}`,
    `${value}.${expiry}.${signature.slice(0, 63)}`,
    `.${context}`,
    '...',
    signAt(Buffer.alloc(32), 0, org),
  ]) {
    await t.rejects(read(forged), { code: '42501' }, forged)
  }
  t.equal(await read(''), 0, 'and sees no rows without any')
  const unknown = await read(signAt(Buffer.alloc(32), 0, org)).catch((error: Error) => error)
  t.ok(isUnavailable(unknown), 'a running process retries while its key is not registered')
  const denied = Object.assign(new Error('permission denied for table orders'), { code: '42501' })
  t.notOk(isUnavailable(denied), 'control: another refusal')
})

t.test('rejects a context of another setting', async (t) => {
  const { url, org, read } = await start(t)
  const { sign } = createContextSigner(key(url))

  await t.rejects(read(sign('user_id', org)), { code: '42501' })
  await t.rejects(read(sign('service', org)), { code: '42501' })
})

t.test('follows the clock of the database, not that of the process', async (t) => {
  const { url, org, read } = await start(t)
  const { sign, observe } = createContextSigner(key(url), () => 5_000_000)

  observe(Date.now() / 1000)

  t.equal(await read(sign('org_id', org)), 1)
})

t.test('reuses a context for 5 s, and signs a new one when the clock of the database jumps', (t) => {
  let elapsedMs = 0
  const { sign, observe } = createContextSigner(Buffer.alloc(32), () => elapsedMs)
  const observeAt = (ms: number) => {
    elapsedMs = ms
    observe(1_000_000 + ms / 1000)
    return sign('org_id', 'a')
  }
  const first = observeAt(0)
  t.equal(observeAt(1000), first)
  t.equal(observeAt(4999), first)
  const second = observeAt(5000)
  t.not(second, first)

  observe(1_000_000 + 5 + 60)
  t.not(sign('org_id', 'a'), second)
  t.end()
})

t.test('verifies once per statement, and uses the index of the organisation', async (t) => {
  const { url, org, session, read } = await start(t)
  await read(signAt(key(url), 0, org))
  await session.query('SET enable_seqscan = off')

  const rows = await rowsOf(
    session,
    "EXPLAIN (COSTS OFF) SELECT * FROM orders WHERE created_at > now() - interval '1 d'",
  )

  const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
  t.match(plan, /InitPlan/)
  t.match(plan, /Index Cond: \(\(org_id = \(InitPlan [^)]+\)\.col1\)/)
  t.notMatch(plan, /Filter: .*unverified_context/)
})

t.test('control: without the sub-select, PostgreSQL plans no InitPlan', async (t) => {
  const { url, session } = await start(t)
  const admin = await connect(t, url)
  await admin.query("ALTER POLICY tenant ON orders USING (org_id = unverified_context('org_id')::uuid)")

  const rows = await rowsOf(session, 'EXPLAIN (COSTS OFF) SELECT * FROM orders')

  t.notMatch(rows.map((row) => row['QUERY PLAN']).join('\n'), /InitPlan/)
})

t.test('a login with a short password serves with the registered key', async (t) => {
  const { url, name } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const login = await createLogin(admin, url, { name: `api_${name}`, role: 'orders_app' })
  const serve = (contextKey?: string) => open(t, login, connectionOptions(login, { max: 1, contextKey }))
  const unknown =
    'CONTEXT_KEY is not registered in the database: run npx nx run database:migrate with the same CONTEXT_KEY, or correct it.'
  await t.rejects(assertServable(serve(contextKey)), { name: 'DatabaseError', message: unknown })
  await t.rejects(assertServable(serve()), {
    message: /^CONTEXT_KEY is not set, and the password of DATABASE_URL is too/,
  })

  await migrateToLatest(url, { contextKey })

  await assertServable(serve(contextKey))
  const org = await newOrganisation(url)
  await serve(contextKey).runInTenant(org, insertOrder(org, 'a'))
  t.strictSame(await serve(contextKey).readInTenant(org, selectAll), [{ id: 'a', org_id: org }])
})

t.test('accepts the newest two keys, so that a key can be rotated without an interruption', async (t) => {
  const { url } = await createScratchDatabase(t)
  const serve = (contextKey: string) => open(t, url, connectionOptions(url, { max: 1, contextKey }))
  const keys = [1, 2, 3].map((n) => `${contextKey} ${n}`) as [string, string, string]
  const accepted = async () => {
    const outcomes = await Promise.allSettled(keys.map((key) => assertSchema(serve(key))))
    return outcomes.map(({ status }) => status === 'fulfilled')
  }

  for (const key of keys.slice(0, 2)) await migrateToLatest(url, { contextKey: key })
  t.strictSame(await accepted(), [true, true, false])
  await migrateToLatest(url, { contextKey: keys[0] })
  t.strictSame(await accepted(), [true, true, false], 'both stay when the older one is registered again')
  await migrateToLatest(url, { contextKey: keys[2] })
  t.strictSame(await accepted(), [true, false, true], 'the one that was registered last stays')
})

t.test('derives a key from a password that cannot be guessed, and from no other', async (t) => {
  const address = (password: string) => `postgresql://orders:${password}@localhost/orders`

  t.equal(contextKeyOf(address('x'.repeat(31))), undefined)
  t.equal(contextKeyOf(address('x'.repeat(32)))?.length, 32)
  t.notSame(contextKeyOf(address('x'.repeat(32))), contextKeyOf(address('y'.repeat(32))))
  t.same(contextKeyOf(address(''), contextKey), contextKeyOf(address('x'.repeat(32)), contextKey))
})
