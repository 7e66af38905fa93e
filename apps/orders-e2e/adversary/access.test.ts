import { randomUUID } from 'node:crypto'
import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { type BrowserUser, signInOnPages } from '../src/faults/browser-user.ts'
import { call, newGuestKeys, newOrg, setRole } from '../src/faults/guests.ts'
import { send } from '../src/faults/http.ts'
import { serve, startService } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

t.setTimeout(280_000)

const without = (...checks: string[]) => preloaded(`without-access-checks.ts?${checks}`)
const { url: DATABASE_URL } = await createScratchDatabase(t)
const GUEST_KEYS = newGuestKeys()
const settings = { DATABASE_URL, GUEST_KEYS, RATE_LIMITS: 'off', WEBHOOKS_ALLOW_LOOPBACK: 'true' }
const required = { ...settings, AUTH_MODE: 'required' }
const admin = await connect(t, DATABASE_URL)
const { url } = await serve(t, required)
const newUser = () => signInOnPages(url, admin, GUEST_KEYS)

t.test('a page session does what the role of its user allows, and nothing else', async (t) => {
  const [owner, viewer] = [await newUser(), await newUser()]
  await setRole(url, owner, viewer, 'viewer')
  await viewer.browser.submit('/ui/organisation', { org_id: owner.orgId })
  const addWebhook = async ({ browser }: BrowserUser, at: string) => {
    const fields = { url: 'http://127.0.0.1:9/hook', signature: 'hmac', key: randomUUID() }
    return (await browser.submit('/ui/webhooks', fields, { url: at })).status
  }

  t.equal(await addWebhook(owner, url), 201)
  t.equal(await addWebhook(viewer, url), 403)

  const narrow = await serve(t, { ...required, ...without('session-scopes') })
  t.equal(await addWebhook(owner, narrow.url), 403, 'control: a session that lacks a scope')
  const wide = await serve(t, { ...required, ...without('roles') })
  t.equal(await addWebhook(viewer, wide.url), 201, 'control: a service that checks no role')
})

t.test('SQL injection cannot switch to another organisation', async (t) => {
  const scratch = await createScratchDatabase(t)
  const admin = await connect(t, scratch.url)
  const login = `api_${randomUUID()}`
  await admin.query(`CREATE ROLE "${login}" LOGIN PASSWORD 'secret' IN ROLE orders_app`)
  const address = Object.assign(new URL(scratch.url), { username: login, password: 'secret' }).href
  const ofLogin = {
    // As any PostgreSQL but that of `npm start`, whose login is a superuser.
    DATABASE_URL: `${address}?options=${encodeURIComponent('-c orders.embedded=off')}`,
    CONTEXT_KEY: decodeURIComponent(new URL(scratch.url).password),
  }
  const service = await serve(t, ofLogin)
  const placed = await send(`${service.url}/orders`, { method: 'POST', body: { amount: 1 } })
  t.equal(placed.status, 201)
  const { org_id: victim } = JSON.parse(placed.body)
  const attacker = await connect(t, `${address}?options=${encodeURIComponent('-c role=orders_app')}`)
  /** The number of orders that a transaction sees after an injected statement, or the code of the error. */
  const inject = async (statement: string): Promise<unknown> => {
    await attacker.query('BEGIN')
    const found = attacker.query(statement).then(() => attacker.query('SELECT count(*)::int AS n FROM orders'))
    const seen = await found.then(
      ({ rows }) => rows[0].n,
      ({ code }) => code,
    )
    await attacker.query('ROLLBACK')
    return seen
  }
  const plain = `SELECT set_config('app.org_id', '${victim}', true)`
  const forged = `SELECT set_config('app.org_id', '${victim}.9999999999.' || encode(sha256('a'), 'hex'), true)`

  t.equal(await inject('SELECT'), 0, 'no context')
  t.equal(await inject(plain), '42501', 'a context that is not signed')
  t.equal(await inject(forged), '42501', 'a context with another signature')
  t.equal(await inject('SET LOCAL ROLE NONE'), 0, 'the role of the login')

  await admin.query(`ALTER ROLE "${login}" BYPASSRLS`)
  t.equal(await inject('SET LOCAL ROLE NONE'), 1, 'control: a login that bypasses Row-Level Security')
  const refused = startService(ofLogin)
  t.match(await refused.exited, { code: 1 })
  t.match(refused.output.stderr, /which bypasses Row-Level Security: use a login without SUPERUSER and BYPASSRLS/)
  await t.resolves(serve(t, { ...ofLogin, ...without('login') }), 'control: a service that does not check its login')

  await admin.query(`ALTER ROLE "${login}" NOBYPASSRLS`)
  await admin.query("ALTER POLICY tenant ON orders USING (org_id = current_setting('app.org_id', true)::uuid)")
  t.equal(await inject(plain), 1, 'control: a policy that trusts a plain setting')
})

t.test('a page of another site neither reads nor changes a service in open mode', async (t) => {
  const [{ url }, unguarded] = await Promise.all([
    serve(t, settings),
    serve(t, { ...settings, ...without('open-mode') }),
  ])
  const use = async (at: string, headers: Record<string, string>) => {
    const read = await send(`${at}/orders`, { headers })
    const placed = await send(`${at}/orders`, { method: 'POST', headers, body: { amount: 1 } })
    return [read.status, placed.status]
  }

  for (const [name, headers, status] of [
    ['a foreign Origin', { origin: 'https://evil.example' }, 403],
    ['a request from another site', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a foreign Host', { host: 'evil.example' }, 421],
  ] as const) {
    t.strictSame(await use(url, headers), [status, status], name)
    t.strictSame(await use(unguarded.url, headers), [200, 201], `control: ${name}`)
  }
  t.strictSame(await use(url, {}), [200, 201], 'curl')
})

t.test('an owner who is removed from home keeps the account', async (t) => {
  const careless = await serve(t, { ...required, ...without('home', 'last-membership') })
  const [owner, other] = [await newUser(), await newUser()]
  await setRole(url, owner, other, 'owner')
  const removeOwner = () => call(url, other, 'DELETE', `/orgs/${owner.orgId}/members/${owner.id}`)
  const read = (at: string) => Promise.all(['/me', '/orgs'].map((path) => call(at, owner, 'GET', path)))

  t.match(await removeOwner(), { status: 409, body: /LAST_MEMBERSHIP/ })
  const orgId = await newOrg(url, owner)
  t.equal((await removeOwner()).status, 204)
  t.match(await read(url), [
    { status: 200, body: `"org_id":"${orgId}"` },
    { status: 200, body: orgId },
  ])
  t.match(await read(careless.url), [{ status: 404 }, { status: 404 }], 'control: a service that requires a home')

  const left = `/orgs/${orgId}/members/${owner.id}`
  await setRole(url, owner, other, 'owner', orgId)
  t.equal((await call(url, other, 'DELETE', left)).status, 409)
  t.equal((await call(careless.url, other, 'DELETE', left)).status, 204, 'control: no check of the last one')
  t.match(await read(url), [
    { status: 200, body: '"org_id":null' },
    { status: 200, body: '"data":[]' },
  ])
})

t.test('the public port has no metrics where a token is required', async (t) => {
  t.match(await send(`${url}/metrics`), { status: 404, body: /"error":"NOT_FOUND"/ })
  const open = await serve(t, { ...required, ...without('private-metrics') })
  t.match(await send(`${open.url}/metrics`), { status: 200, body: /^orders_/m }, 'control: a service that serves them')
})
