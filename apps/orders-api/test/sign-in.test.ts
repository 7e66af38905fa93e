import pg from 'pg'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { createOpenIdSignIns } from '../src/access/openid-sign-in.ts'
import { readIssuers } from '../src/access/openid-tokens.ts'
import { localPath } from '../src/access/return-to.ts'
import { startIssuer, webClient } from './access/issuer.ts'
import { signInAtIssuer } from './access/sign-in-at-issuer.ts'
import { openBrowser } from './ui/browser.ts'

const PUBLIC_URL = 'http://localhost'
const audience = 'urn:orders'
const GUEST_KEYS = await newGuestKeys('test-key')

const entry = (issuer: { url: string }, name: string) => ({ issuer: issuer.url, audience, name, ...webClient })
type Browser = Awaited<ReturnType<typeof openBrowser>>

async function startPages(t: Test, { url = '' } = {}) {
  const [first, second] = [
    await startIssuer(t, { pages: PUBLIC_URL, audience }),
    await startIssuer(t, { pages: PUBLIC_URL, audience }),
  ]
  const settings = {
    AUTH_MODE: 'required',
    GUEST_KEYS,
    PUBLIC_URL,
    OPENID_ISSUERS: JSON.stringify([entry(first, 'First'), entry(second, 'Second')]),
    ...(url && { url }),
  }
  return { first, second, settings, browser: await openBrowser(t, settings) }
}

/** Presses the button, and tells where it leads. */
async function begin({ get, submit }: Browser, name = 'First', returnTo = '/ui/place-order'): Promise<string> {
  const { page } = await get(`/sign-in?${new URLSearchParams({ return_to: returnTo })}`)
  const answer = await submit(page.form(`Sign in with ${name}`))
  return answer.page.link('Go there now') ?? ''
}

const come = ({ get }: Browser, back: URL, change: Record<string, string | null> = {}) => {
  for (const [key, value] of Object.entries(change)) {
    if (value === null) back.searchParams.delete(key)
    else back.searchParams.set(key, value)
  }
  return get(`${back.pathname}${back.search}`)
}

async function look(t: Test, url: string, text: string) {
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())
  return admin.query(text)
}

const refused = { statusCode: 400, headers: { 'content-type': /^text\/html/ } }

t.test('a user of an issuer signs in, comes back, and signs out of both', async (t) => {
  const { first, browser } = await startPages(t)
  const url = new URL(await begin(browser, 'First', '/ui/place-order?x=1'))
  t.match(Object.fromEntries(url.searchParams), {
    response_type: 'code',
    client_id: 'pages',
    scope: 'openid profile',
    redirect_uri: `${PUBLIC_URL}/sign-in/callback`,
    code_challenge_method: 'S256',
    code_challenge: /^[\w-]{43}$/,
    state: /^[\w-]{43}$/,
    nonce: /^[\w-]{43}$/,
  })
  const done = await come(browser, await signInAtIssuer(url.href, 'one'))
  t.match(done, { statusCode: 303, headers: { location: '/ui/place-order?x=1' } })
  const { page } = await browser.get('/')
  t.match(page.text('header'), 'Signed in as one of the issuer')

  // The same user as with an access token of that issuer.
  await browser.submit(page.form('Place order'), { Amount: '3', 'Your own id': 'by-page' })
  const authorization = `Bearer ${await first.token('one', 'orders:read')}`
  t.match(await browser.server.inject({ url: '/orders/by-page', headers: { authorization } }), { statusCode: 200 })

  const out = await browser.submit(page.form('Sign out'))
  const end = new URL(out.page.link('Go there now') ?? '')
  t.equal(`${end.origin}${end.pathname}`, `${first.url}/session/end`)
  t.equal(end.searchParams.get('post_logout_redirect_uri'), `${PUBLIC_URL}/sign-in`)
  t.match(await browser.get('/'), { statusCode: 303 })
})

t.test('an answer is taken once, in the browser that asked, and from the issuer that was asked', async (t) => {
  const { first, second, browser, settings } = await startPages(t)
  const { url } = browser
  const start = async (login = 'ada') => signInAtIssuer(await begin(browser), login)

  const used = await start()
  const kept = browser.cookies.get('sign-in') ?? ''
  t.match(await come(browser, used), { statusCode: 303 }, 'control')
  t.match(await come(browser, used), refused, 'the same address again')
  browser.cookies.set('sign-in', kept)
  t.match(await come(browser, used), refused, 'even with the cookie of before')
  browser.cookies.delete('sid')

  const victim = await openBrowser(t, { ...settings, url })
  t.match(await come(victim, await start('mallory')), refused, "another browser does not become the attacker's")
  await begin(victim)
  t.match(await come(victim, await start('mallory')), refused, 'nor while it signs in itself')
  t.notOk(victim.cookies.has('sid'))

  for (const change of [
    { state: null },
    { state: '' },
    { state: 'x'.repeat(43) },
    { code: null },
    { code: 'x'.repeat(43) },
    { iss: second.url },
    { iss: null },
    { error: 'access_denied' },
  ]) {
    t.match(await come(browser, await start(), change), refused, JSON.stringify(change))
  }
  const stateless = await start()
  t.match(await come(browser, new URL(stateless.href), { state: 'x' }), refused)
  t.match(await come(browser, stateless), { statusCode: 303 }, 'what does not answer it does not end it')
  browser.cookies.delete('sid')

  // Mix-up: the user asked the second issuer, and what comes back is a code of the first.
  const code = (await start()).searchParams.get('code')
  const other = await signInAtIssuer(await begin(browser, 'Second'), 'ada')
  t.match(await come(browser, other, { code, iss: first.url }), refused)
  const swapped = await signInAtIssuer(await begin(browser, 'Second'), 'ada')
  t.match(await come(browser, swapped, { code }), refused, 'and another issuer does not know the code')

  // A code of another sign-in of the same issuer has another nonce and verifier.
  const theirs = (await start('mallory')).searchParams.get('code')
  t.match(await come(browser, await start(), { code: theirs }), refused)

  const late = await start()
  await look(t, url, 'UPDATE sign_ins SET expires_at = now()')
  t.match(await come(browser, late), refused, 'after ten minutes')
  t.equal((await browser.server.inject({ method: 'HEAD', url: '/sign-in/callback?state=x' })).statusCode, 405)
  await begin(browser)
  const { rows } = await look(t, url, 'SELECT s::text AS row FROM sign_ins s')
  const secret = browser.cookies.get('sign-in') ?? ''
  t.ok(rows.length > 0 && !rows.some(({ row }) => row.includes(secret)), 'the database has no secret of it')
})

t.test('an issuer that refuses, or is away, leaves a page to try again from', async (t) => {
  const { first, browser } = await startPages(t)
  const denied = await signInAtIssuer(await begin(browser), 'ada')
  const back = await come(browser, denied, { code: null, error: 'access_denied', error_description: 'Call 555-EVIL' })
  t.equal(back.page.alert(), 'The sign-in was not completed: start it again.')
  t.notMatch(back.body, 'EVIL')
  t.ok(back.page.form('Sign in with First'))

  const ready = await signInAtIssuer(await begin(browser), 'ada')
  first.goAway(true)
  const cut = await come(browser, ready)
  t.match(cut, { statusCode: 503, headers: { 'retry-after': '30' } }, 'in the middle of it')
  t.match(cut.page.alert(), 'does not answer at present')
  t.equal(
    cut.page.form('Sign in with First').querySelector('[name="return_to"]')?.getAttribute('value'),
    '/ui/place-order',
  )
  first.goAway(false)
  t.match(await come(browser, await signInAtIssuer(await begin(browser), 'ada')), { statusCode: 303 })
  const { page } = await browser.get('/')
  first.goAway(true)
  t.match(await browser.submit(page.form('Sign out')), { statusCode: 200 }, 'what is known of it serves to sign out')

  const fresh = await openBrowser(t, {
    OPENID_ISSUERS: JSON.stringify([entry(first, 'First')]),
    AUTH_MODE: 'required',
    PUBLIC_URL,
  })
  const away = await fresh.submit((await fresh.get('/sign-in')).page.form('Sign in with First'))
  t.equal(away.statusCode, 503, 'from the start')
  t.notOk(fresh.cookies.has('sign-in'))
})

const elsewhere = [
  '//evil.example',
  '///evil.example',
  '////evil.example',
  '/\\evil.example',
  '\\\\evil.example',
  '\\/evil.example',
  '/\\/evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '/\r/evil.example',
  '\t//evil.example',
  ' //evil.example',
  '/\t\\evil.example',
  '/.//evil.example',
  '/..//evil.example',
  '/../..//evil.example',
  '/./\\evil.example',
  '/x/..//evil.example',
  '/%2e//evil.example',
  '/%2E%2E//evil.example',
  '/%2e%2e/%2e//evil.example',
  'https://evil.example',
  'http://evil.example',
  'HTTPS://evil.example',
  'https:/evil.example',
  'https:evil.example',
  'http:\\\\evil.example',
  'ftp://evil.example',
  'javascript:alert(1)',
  'JavaScript:alert(1)',
  'java\nscript:alert(1)',
  '\u0001javascript:alert(1)',
  'data:text/html,x',
  'vbscript:x',
  'blob:https://evil.example/x',
  'file:///etc/passwd',
  'evil.example',
  '@evil.example',
  '//evil.example@localhost',
  'https://localhost@evil.example',
  '//localhost:80@evil.example',
  'http://localhost.evil.example',
  '//%65vil.example',
  '//evil%E3%80%82example',
  '//evil。example',
  '/\u2028//evil.example/..//evil.example',
  '//[::1]',
  '//0x7f000001',
  '?//evil.example',
  '#//evil.example',
  '',
  '/sign-in?return_to=//evil.example',
  '/sign-out',
] as const
const ours = [
  '/',
  '/ui/orders/a?done=placed',
  '/?q=a%20b&status=placed',
  '/%2F/evil.example',
  '/%09/evil.example',
  '/%5Cevil.example',
  '/a//b',
  '/?next=//evil.example',
]

/** Whether a browser on this page would stay on the site if it were told to go there. */
const stays = (location: string) => URL.parse(location, `${PUBLIC_URL}/sign-in`)?.origin === PUBLIC_URL

t.test('no address of another site is returned to', async (t) => {
  t.ok(elsewhere.length >= 40, `${elsewhere.length} addresses`)
  for (const address of elsewhere) {
    const path = localPath(address)
    t.ok(stays(path) && path.startsWith('/'), encodeURI(`${address} -> ${path}`))
  }
  for (const address of ours) t.equal(localPath(address), address, encodeURI(address))
  for (const odd of [undefined, null, 5, ['//evil.example'], {}, `/${'x'.repeat(3000)}`]) t.equal(localPath(odd), '/')
  const naive: ((text: string) => string)[] = [
    (text) => (text.startsWith('/') ? text : '/'),
    (text) => (/^\/(?!\/)/.test(text) ? text : '/'),
    (text) => {
      const url = URL.parse(text, PUBLIC_URL)
      return url?.origin === PUBLIC_URL ? `${url.pathname}${url.search}` : '/'
    },
  ]
  for (const [i, check] of naive.entries())
    t.ok(elsewhere.filter((address) => !stays(check(address))).length > 0, `control: naive check ${i} is caught`)

  const { browser } = await startPages(t)
  for (const address of elsewhere) {
    const query = new URLSearchParams({ return_to: address })
    const { page } = await browser.get(`/sign-in?${query}`)
    const _csrf = page.document.querySelector('[name="_csrf"]')?.getAttribute('value') ?? ''
    const { statusCode, headers } = await browser.post('/sign-in/guest', { _csrf, return_to: address })
    t.ok(statusCode === 303 && stays(String(headers.location)), encodeURI(`${address} -> ${headers.location}`))
    browser.cookies.delete('sid')
  }
  const back = await signInAtIssuer(await begin(browser, 'First', '//evil.example'), 'ada')
  t.match(await come(browser, back), { statusCode: 303, headers: { location: '/' } })
})

t.test('the audit log tells who signed in and out, and no secret', async (t) => {
  const { first, browser } = await startPages(t)
  const lines: { event: string; about: Record<string, unknown> }[] = []
  browser.server.audit = (request, event, about = {}) =>
    lines.push({ event, about: { user: request.caller?.user?.id, ...about } })
  const secrets: string[] = []
  const back = await signInAtIssuer(await begin(browser), 'ada')
  secrets.push(...back.searchParams.values(), ...browser.cookies.values())
  await come(browser, back)
  secrets.push(...browser.cookies.values())
  const { rows } = await look(t, browser.url, 'SELECT id FROM users')
  await browser.submit((await browser.get('/')).page.form('Sign out'))
  await come(browser, back)
  await browser.submit((await browser.get('/sign-in')).page.form('Continue as a guest'))
  const [{ id: user }] = rows
  t.match(lines, [
    { event: 'user.signed-in', about: { user, by: first.url } },
    { event: 'user.signed-out', about: { user } },
    { event: 'sign-in.failed', about: { reason: 'state' } },
    { event: 'user.signed-in', about: { by: 'guest' } },
  ])
  const told = JSON.stringify(lines)
  t.ok(secrets.length > 6)
  t.notOk(secrets.some((secret) => secret !== first.url && told.includes(secret)))
})

t.test('settings that cannot work are told in a sentence', async (t) => {
  const issuers = readIssuers(JSON.stringify([{ issuer: 'https://a.example', audience, client_id: 'x' }]))
  t.throws(() => createOpenIdSignIns(issuers, { AUTH_MODE: 'required' }), {
    message: /^OPENID_ISSUERS has a client_id and PUBLIC_URL is not set: set it/,
  })
  t.equal(createOpenIdSignIns(issuers, { AUTH_MODE: 'open' }).get('https://a.example')?.name, 'a.example')
  t.equal(createOpenIdSignIns(issuers, { AUTH_MODE: 'required', PUBLIC_URL }).size, 1)
  t.equal(
    createOpenIdSignIns(readIssuers(`[{"issuer":"https://a","audience":"b"}]`), { AUTH_MODE: 'required' }).size,
    0,
  )
  t.throws(() => readIssuers('[{"issuer":"https://a","audience":"b","scope":"profile"}]'), { message: /scope/ })
})
