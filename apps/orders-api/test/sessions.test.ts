import { createHash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { readOperations } from './bad-input/document.ts'
import { createClock } from './rate-limits/clock.ts'
import { openBrowser, sameOrigin } from './ui/browser.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const required = { GUEST_KEYS, AUTH_MODE: 'required' }
const https = { 'x-forwarded-proto': 'https' }

type Browser = Awaited<ReturnType<typeof openBrowser>>

async function signIn({ get, submit }: Browser, returnTo = '/') {
  const { page } = await get(`/sign-in?${new URLSearchParams({ return_to: returnTo })}`)
  return submit(page.form('Continue as a guest'))
}

async function connect(t: Test, url: string) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** Waits until news has come from another process; rejects after 5 s. */
async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const giveUpAt = Date.now() + 5000; !(await condition()); await turn())
    if (Date.now() > giveUpAt) throw new Error('not within 5 s')
}

const isSignedIn = async ({ get }: Browser) => (await get('/')).statusCode === 200
const leadsToSignIn = { statusCode: 303, headers: { location: /^\/sign-in/ } }

t.test('a guest signs in, places an order and signs out', async (t) => {
  const browser = await openBrowser(t, required)
  const { get, submit, server, cookies } = browser
  t.match(await get('/?status=placed'), {
    statusCode: 303,
    headers: { location: '/sign-in?return_to=%2F%3Fstatus%3Dplaced' },
  })
  t.match((await get('/errors')).page.link('Sign in'), '/sign-in?return_to=%2Ferrors')
  t.match(await signIn(browser, '/ui/place-order'), { statusCode: 303, headers: { location: '/ui/place-order' } })

  const { page } = await get('/ui/place-order')
  t.match(page.text('header'), /Signed in as guest-\d{4} Sign out$/)
  t.match((await get('/errors')).page.text('header'), /Signed in as guest-\d{4}/, 'also where anyone may look')
  t.match((await get('/ui/orders/none')).page.text('header'), /Signed in as guest-\d{4}/, 'and where nothing is')
  const placed = await submit(page.form('Place order'), { Amount: '5', 'Your own id': 'mine' })
  t.match(placed, { statusCode: 303, headers: { location: '/ui/orders/mine?done=placed' } })
  t.match((await get('/sign-in')).page.heading(), 'You are signed in')

  const cookie = [...cookies].map(([key, value]) => `${key}=${value}`).join('; ')
  for (const { method, path } of await readOperations()) {
    const ask = { method: method as 'GET', url: path.replace(/\{\w+\}/g, 'mine') }
    const { statusCode } = await server.inject({ ...ask, headers: { cookie } })
    t.equal(statusCode, (await server.inject(ask)).statusCode, `${method} ${path} takes no cookie`)
  }
  t.match(await server.inject({ url: '/orders/mine', headers: { cookie } }), { statusCode: 401 })

  const out = await submit((await get('/')).page.form('Sign out'))
  t.match(out, { statusCode: 303, headers: { location: '/sign-in?done=signed-out' } })
  t.equal((await get('/sign-in?done=signed-out')).page.status(), 'You are signed out.')
  t.notOk(cookies.has('sid'))
  t.match(await server.inject({ url: '/', headers: { cookie } }), leadsToSignIn, 'the cookie is worth nothing')
})

t.test('where nobody has to sign in, one may', async (t) => {
  const browser = await openBrowser(t, { GUEST_KEYS })
  const { get, submit } = browser
  const open = await get('/')
  t.equal(open.page.link('Sign in'), '/sign-in')
  t.equal((await get('/sign-in')).page.link('Go on without signing in'), '/')
  await submit(open.page.form('Place order'), { Amount: '1' })
  const stale = (await get('/')).page.form('Place order')
  await signIn(browser)
  t.match((await get('/')).body, 'There are no orders yet.', 'a guest has an organisation of its own')
  t.match(await submit(stale, { Amount: '1' }), { statusCode: 403 }, 'a form from before is not sent as somebody else')
  await submit((await get('/')).page.form('Sign out'))
  t.equal((await get('/')).page.rows().length, 1)

  const alone = await openBrowser(t)
  t.notOk((await alone.get('/')).page.link('Sign in'), 'without guests and issuers there is nothing to sign in to')
  t.match((await alone.get('/sign-in')).page.text('main'), 'nobody needs to')
  t.match(await alone.post('/sign-in/guest', {}), { statusCode: 403 })
})

t.test('the cookie is out of reach, for scripts and for other hosts', async (t) => {
  const browser = await openBrowser(t, { ...required, TRUSTED_PROXIES: '127.0.0.1' })
  const value = '[A-Za-z0-9_-]{22}; Path=/; HttpOnly'
  const plain = await signIn(browser)
  t.match(String(plain.headers['set-cookie']), new RegExp(`^sid=${value}; SameSite=Lax$`))

  const { page } = await browser.get('/sign-in', https)
  const secure = await browser.submit(page.form('Continue as a guest'), {}, { ...sameOrigin, ...https })
  t.match(String(secure.headers['set-cookie']), new RegExp(`^__Host-sid=${value}; Secure; SameSite=Lax$`))
  t.match(await browser.get('/', https), { statusCode: 200 })
  const { page: page2 } = await browser.get('/', https)
  const out = await browser.submit(page2.form('Sign out'), {}, { ...sameOrigin, ...https })
  t.match(String(out.headers['set-cookie']), /^__Host-sid=; Max-Age=0; Path=\/;.* HttpOnly; Secure; SameSite=Lax$/)

  browser.cookies.delete('sid')
  const sids = new Set<string>()
  for (let i = 0; i < 20; i++) {
    await signIn(browser)
    sids.add(browser.cookies.get('sid') ?? '')
    browser.cookies.delete('sid')
  }
  t.equal(sids.size, 20)
  const { rows } = await (await connect(t, browser.url)).query('SELECT s::text AS row FROM sessions s')
  t.notOk(
    rows.some(({ row }) =>
      [...sids].some((sid) => row.includes(sid) || row.includes(Buffer.from(sid).toString('hex'))),
    ),
    'the database has no cookie',
  )
})

t.test('guests of the pages are counted as those of the API are', async (t) => {
  const browser = await openBrowser(t, { ...required, RATE_LIMITS: 'guests=2' })
  const answers = []
  for (let i = 0; i < 3; i++) {
    answers.push(await signIn(browser))
    browser.cookies.clear()
  }
  t.strictSame(
    answers.map(({ statusCode }) => statusCode),
    [303, 303, 429],
  )
  t.match(answers[2], { headers: { 'content-type': /^text\/html/, 'retry-after': /^\d+$/ } })
})

t.test('every sign-in has a new id, and none is brought along', async (t) => {
  const browser = await openBrowser(t, required)
  const admin = await connect(t, browser.url)
  const planted = 'A'.repeat(22)
  browser.cookies.set('sid', planted)
  t.match(await browser.get('/'), leadsToSignIn)
  await browser.get('/sign-in')
  t.notOk(browser.cookies.has('sid'), 'what names no session is taken back')
  browser.cookies.set('sid', planted)
  await signIn(browser)
  const first = browser.cookies.get('sid') ?? ''
  t.not(first, planted)

  // A form that was opened before somebody signed in elsewhere in the browser is not sent as that user.
  const other = await openBrowser(t, { ...required, url: browser.url })
  const { page } = await other.get('/sign-in')
  other.cookies.set('sid', first)
  t.match(await other.submit(page.form('Continue as a guest')), { statusCode: 403 })
  t.ok(await isSignedIn(browser))
  const { rows } = await admin.query('SELECT digest FROM sessions')
  t.same(
    rows.map(({ digest }) => digest),
    [createHash('sha256').update(first).digest()],
    'the planted one is nowhere',
  )
})

t.test('a session ends after 30 idle minutes and after 12 hours, by the clock of the database', async (t) => {
  const { url } = await openBrowser(t, required)
  const direct = await connect(t, url)
  /** A process that has not seen the browser yet, so that it remembers nothing. */
  async function freshProcess(sid: string) {
    const browser = await openBrowser(t, { ...required, url })
    browser.cookies.set('sid', sid)
    return browser
  }
  const row = async () =>
    (
      await direct.query(`SELECT round(extract(epoch FROM expires_at - now()) / 60)::int AS idle,
        round(extract(epoch FROM ends_at - now()) / 60)::int AS absolute FROM sessions`)
    ).rows[0]
  const age = (minutes: number) =>
    direct.query(
      `UPDATE sessions SET expires_at = expires_at - interval '1 minute' * $1, ends_at = ends_at - interval '1 minute' * $1`,
      [minutes],
    )
  const browser = await openBrowser(t, { ...required, url })
  await signIn(browser)
  const sid = browser.cookies.get('sid') ?? ''
  t.same(await row(), { idle: 30, absolute: 720 })
  await age(29)
  t.ok(await isSignedIn(await freshProcess(sid)), 'after 29 minutes')
  t.same(await row(), { idle: 30, absolute: 691 }, 'which counts as a use')
  await age(0.5)
  t.ok(await isSignedIn(await freshProcess(sid)))
  t.equal((await direct.query("SELECT FROM sessions WHERE expires_at < now() + interval '29.6 minutes'")).rowCount, 1)
  await age(660)
  await direct.query("UPDATE sessions SET expires_at = now() + interval '5 minutes'")
  t.ok(await isSignedIn(await freshProcess(sid)), 'after 11 and a half hours')
  t.match(await row(), { idle: 30 })
  await age(25)
  t.ok(await isSignedIn(await freshProcess(sid)))
  const late = await row()
  t.equal(late.idle, late.absolute, 'no use reaches beyond 12 hours')
  await direct.query('UPDATE sessions SET ends_at = now(), expires_at = now()')
  const ended = await freshProcess(sid)
  t.match(await ended.get('/'), leadsToSignIn, 'after 12 hours')
  await signIn(ended)
  t.equal((await direct.query('SELECT FROM sessions')).rowCount, 1, 'the next sign-in clears it away')

  await direct.query('UPDATE sessions SET expires_at = now()')
  t.match(await (await freshProcess(ended.cookies.get('sid') ?? '')).get('/'), leadsToSignIn, 'after 30 idle minutes')
})

t.test('one sign-out ends the session in every process at once', async (t) => {
  const clock = createClock()
  const one = await openBrowser(t, required)
  const two = await openBrowser(t, { ...required, url: one.url }, { now: clock.now })
  const stays = await openBrowser(t, { ...required, url: one.url })
  await signIn(one)
  await signIn(stays)
  for (const [name, value] of one.cookies) two.cookies.set(name, value)
  t.ok(await isSignedIn(two))
  const before = await one.get('/')
  await one.submit(before.page.form('Sign out'))
  await until(async () => !(await isSignedIn(two)))
  t.ok(await isSignedIn(stays), 'and no other one')
  for (const [name, value] of two.cookies) one.cookies.set(name, value)
  t.match(await one.submit(before.page.form('Sign out')), leadsToSignIn, 'to sign out twice is no fault')

  // Should its news be lost, a session is looked up again after a minute.
  await signIn(one)
  for (const [name, value] of one.cookies) two.cookies.set(name, value)
  t.ok(await isSignedIn(two))
  const admin = await connect(t, one.url)
  await admin.query('ALTER TABLE sessions DISABLE TRIGGER announce_access')
  await one.submit((await one.get('/')).page.form('Sign out'))
  t.ok(await isSignedIn(two), 'control: it did not hear of it')
  clock.pass(60_000)
  t.notOk(await isSignedIn(two))
})

t.test('what a user may do in an organisation holds for its sessions', async (t) => {
  const owner = await openBrowser(t, required)
  const guest = await openBrowser(t, { ...required, url: owner.url })
  const admin = await connect(t, owner.url)
  await signIn(owner)
  await signIn(guest)
  t.notOk((await guest.get('/')).page.all('form.choose').length, 'who has one organisation has no choice')
  const { rows } = await admin.query(
    `SELECT u.id, u.home_org_id AS home FROM sessions s JOIN users u ON u.id = s.user_id ORDER BY u.created_at`,
  )
  const [{ home: theirs }, { id: guestId, home }] = rows
  const setRole = (role: string) =>
    admin.query(
      `INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, $3)
       ON CONFLICT (org_id, user_id) DO UPDATE SET role = $3`,
      [theirs, guestId, role],
    )
  const choose = async (org_id: string) => {
    const token = (await guest.get('/errors')).page.document.querySelector('[name="_csrf"]')?.getAttribute('value')
    return guest.post('/ui/organisation', { org_id, _csrf: token ?? '' })
  }
  t.match(await choose(theirs), { statusCode: 404 }, 'not a member yet')
  t.match(await choose('x'), { statusCode: 404 })
  await owner.submit((await owner.get('/')).page.form('Place order'), { Amount: '9', 'Your own id': 'theirs' })
  await setRole('viewer')

  const atHome = (await guest.get('/')).page
  const switched = await guest.submit(atHome.form('Switch'), { Organisation: theirs })
  t.match(switched, { statusCode: 303, headers: { location: '/' } })
  const viewing = await guest.get('/')
  t.match(viewing.page.rows(), [[/theirs/]])
  t.equal(viewing.page.all('form[action="/ui/orders"]').length, 0, 'a viewer has no form to place')
  t.notOk(viewing.page.link('Place an order'))
  t.equal((await guest.get('/ui/orders/theirs')).page.all('main form').length, 0, 'nor verbs')
  const refused = await guest.get('/ui/place-order')
  t.equal(refused.statusCode, 403)
  t.match(refused.page.text('main'), 'Your role in the organisation does not allow this')
  t.match(refused.page.text('header'), /guest-\d{4}/)
  t.match(
    await guest.submit(atHome.form('Place order'), { Amount: '1' }),
    { statusCode: 403 },
    'of another organisation',
  )

  await setRole('member')
  await until(async () => (await guest.get('/ui/place-order')).statusCode === 200)
  const form = (await guest.get('/ui/place-order')).page.form('Place order')
  await admin.query('DELETE FROM memberships WHERE org_id = $1 AND user_id = $2', [theirs, guestId])
  await until(async () => (await guest.get('/')).page.rows().length === 0)
  t.match(await guest.get('/ui/orders/theirs'), { statusCode: 404 })
  t.match(await guest.submit(form, { Amount: '2' }), { statusCode: 403 }, 'and does not place it at home instead')
  t.equal((await admin.query('SELECT FROM orders WHERE org_id = $1', [home])).rowCount, 0)
  t.match(await choose(theirs), { statusCode: 404 })
})

t.test('no other site can sign anybody in, out or elsewhere', async (t) => {
  const browser = await openBrowser(t, required)
  const admin = await connect(t, browser.url)
  const { page: signInPage } = await browser.get('/sign-in')
  const token = signInPage.document.querySelector('[name="_csrf"]')?.getAttribute('value') ?? ''
  const foreign: [string, Record<string, string>, string][] = [
    ['another site', { 'sec-fetch-site': 'cross-site' }, token],
    ['a neighbour', { 'sec-fetch-site': 'same-site' }, token],
    ['another origin', { origin: 'https://evil.example' }, token],
    ['a hidden origin', { origin: 'null' }, token],
    ['nobody who says so', {}, token],
    ['no token', sameOrigin, ''],
    ['another token', sameOrigin, `${token}x`],
  ]
  const routes = ['/sign-in/guest', '/sign-in/openid', '/sign-out', '/ui/organisation']
  const counts = async () =>
    (await admin.query('SELECT (SELECT count(*) FROM sessions) AS s, (SELECT count(*) FROM users) AS u')).rows[0]
  const none = await counts()
  for (const [from, headers, _csrf] of foreign) {
    for (const url of routes) {
      const { statusCode } = await browser.post(url, { _csrf }, headers)
      t.ok(statusCode === 403 || (statusCode === 303 && url !== '/sign-in/guest'), `${url} from ${from}: ${statusCode}`)
    }
  }
  t.same(await counts(), none)
  await signIn(browser)
  for (const [from, headers, _csrf] of foreign) {
    for (const url of routes.slice(1))
      t.match(await browser.post(url, { _csrf }, headers), { statusCode: 403 }, `signed in, ${url} from ${from}`)
  }
  t.ok(await isSignedIn(browser))
  for (const url of ['/sign-out', '/ui/organisation', '/sign-in/guest'])
    t.match(await browser.get(url), { statusCode: 405 }, `GET ${url}`)
  t.ok(await isSignedIn(browser), 'control: the session was worth ending')
})
