import { decodeJwt, decodeProtectedHeader, importJWK, type JWTHeaderParameters, SignJWT } from 'jose'
import pg from 'pg'
import t, { type Test } from 'tap'
import { createOpenIdSignIn, createOpenIdSignIns, type SignInError } from '../src/access/openid-sign-in.ts'
import { readIssuers } from '../src/access/openid-tokens.ts'
import { startIssuer } from './access/issuer.ts'
import { audience, begin, come, entry, PUBLIC_URL, signInAtIssuer, startPages } from './access/sign-in.ts'
import { openBrowser, sameOrigin } from './ui/browser.ts'

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

t.test('an ID token is believed only as the issuer made it, for this sign-in', async (t) => {
  const { first, second, browser } = await startPages(t)
  const attempt = async (claims: object, key = first.key, header: object = {}) => {
    first.changeTokens(async ({ id_token, ...answer }) => {
      const protectedHeader = { ...(decodeProtectedHeader(id_token) as JWTHeaderParameters), ...header }
      const token = new SignJWT({ ...decodeJwt(id_token), ...claims }).setProtectedHeader(protectedHeader)
      return { ...answer, id_token: await token.sign(await importJWK(key, 'RS256')) }
    })
    return come(browser, await signInAtIssuer(await begin(browser), 'ada'))
  }
  const now = Math.floor(Date.now() / 1000)
  for (const claims of [
    { nonce: 'another' },
    { nonce: undefined },
    { aud: 'one' },
    { aud: ['pages', 'one'], azp: 'one' },
    { iss: second.url },
    { exp: now - 60 },
    { nbf: now + 120 },
    { iat: undefined },
    { sub: undefined },
    { sub: '' },
    { sub: 'x'.repeat(256) },
  ]) {
    t.match(await attempt(claims), refused, JSON.stringify(claims))
  }
  t.match(await attempt({}, { ...second.key, kid: 'first' }), refused, 'signed by somebody else')
  t.match(await attempt({}, first.key, { kid: 'second' }), refused, 'by no key of the issuer')
  first.changeTokens(async ({ id_token: _, ...answer }) => answer)
  t.match(await come(browser, await signInAtIssuer(await begin(browser), 'ada')), refused, 'none at all')
  first.changeTokens(async ({ id_token, ...answer }) => {
    const [, claims] = id_token.split('.')
    return { ...answer, id_token: `${Buffer.from('{"alg":"none"}').toString('base64url')}.${claims}.` }
  })
  t.match(await come(browser, await signInAtIssuer(await begin(browser), 'ada')), refused, 'unsigned')
  first.changeTokens(async (answer) => ({ ...answer, more: 'x'.repeat(70_000) }))
  t.match(await come(browser, await signInAtIssuer(await begin(browser), 'ada')), { statusCode: 503 }, 'far too long')
  t.notOk(browser.cookies.has('sid'))
  t.match(await attempt({}), { statusCode: 303 }, 'control: signed anew as it was')
})

t.test('an ID token is valid by the clock of the database, however wrong that of the process is', async (t) => {
  const { first } = await startPages(t)
  const client = { ...entry(first, 'First'), algorithms: ['RS256' as const], max_age: 900, scope: 'openid profile' }
  for (const hours of [2, -2]) {
    const seconds = hours * 3600
    const signIn = createOpenIdSignIn(client, { now: () => Date.now() + seconds * 1000 })
    const complete = async (shift: number) => {
      first.changeTokens(async ({ id_token, ...answer }) => {
        const { iat = 0, exp = 0, ...claims } = decodeJwt(id_token)
        const token = new SignJWT({ ...claims, iat: iat + shift, nbf: iat + shift, exp: exp + shift })
        const signed = token.setProtectedHeader(decodeProtectedHeader(id_token) as JWTHeaderParameters)
        return { ...answer, id_token: await signed.sign(await importJWK(first.key, 'RS256')) }
      })
      const start = await signIn.begin('secret', `${PUBLIC_URL}/sign-in/callback`)
      return signIn.complete('secret', await signInAtIssuer(start, 'ada'))
    }
    t.match(await complete(seconds), { name: 'ada of the issuer' }, `${hours} h`)
    const fault = await complete(0).catch((error: SignInError) => error)
    t.match(fault, { reason: 'expired' }, `${hours} h, a token of another time`)
  }
})

t.test('who signs in anew leaves the session of before', async (t) => {
  const { browser } = await startPages(t)
  const address = await begin(browser)
  const guest = (await browser.get('/sign-in')).page.form('Continue as a guest')
  await browser.submit(guest)
  const before = browser.cookies.get('sid') ?? ''
  t.match((await browser.get('/')).page.text('header'), 'guest-')
  await come(browser, await signInAtIssuer(address, 'ada'))
  t.match((await browser.get('/')).page.text('header'), 'ada of the issuer')
  t.not(browser.cookies.get('sid'), before)
  browser.cookies.set('sid', before)
  t.match(await browser.get('/'), { statusCode: 303 }, 'which is no longer there')
  t.equal((await look(t, browser.url, 'SELECT FROM sessions')).rowCount, 1)
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

t.test('whatever is sent, no sign-in fails on our side', async (t) => {
  const { browser } = await startPages(t)
  const { page } = await browser.get('/sign-in')
  const _csrf = page.document.querySelector('[name="_csrf"]')?.getAttribute('value') ?? ''
  const odd = [
    '',
    '\0',
    '\ud800',
    '%',
    '%00',
    '%ff',
    '__proto__',
    '{}',
    "'; --",
    'x'.repeat(4000),
    '/\0',
    '/\ud800',
    '\u202e',
  ]
  for (const text of odd) {
    for (const url of ['/sign-in/openid', '/sign-in/guest']) {
      const { statusCode } = await browser.post(url, { _csrf, return_to: text, issuer: text })
      t.ok(statusCode < 500, `${url} ${encodeURIComponent(text.toWellFormed()).slice(0, 40)}: ${statusCode}`)
      browser.cookies.delete('sid')
    }
    await begin(browser)
    for (const name of ['state', 'code', 'iss', 'error', 'response', '__proto__']) {
      const query = `${new URLSearchParams({ [name]: text })}&${new URLSearchParams({ [name]: text })}`
      t.match(await browser.get(`/sign-in/callback?${query}`), refused)
    }
  }
  t.match(await browser.get('/sign-in/callback'), refused)
  const long = await browser.post('/sign-in/guest', { _csrf, return_to: 'x'.repeat(20_000) })
  t.equal(long.statusCode, 413)

  const open = await openBrowser(t, {
    OPENID_ISSUERS: JSON.stringify([entry(await startIssuer(t, { audience }), 'First')]),
  })
  const form = (await open.get('/sign-in')).page.form('Sign in with First')
  t.match(await open.submit(form, {}, { ...sameOrigin, host: 'a b' } as never), { statusCode: 421 }, 'no host')
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
  const clock = { now: () => 0 }
  const issuers = readIssuers(JSON.stringify([{ issuer: 'https://a.example', audience, client_id: 'x' }]))
  t.throws(() => createOpenIdSignIns(issuers, { AUTH_MODE: 'required' }, clock), {
    message: /^OPENID_ISSUERS has a client_id and PUBLIC_URL is not set: set it/,
  })
  t.equal(createOpenIdSignIns(issuers, { AUTH_MODE: 'open' }, clock).get('https://a.example')?.name, 'a.example')
  t.equal(createOpenIdSignIns(issuers, { AUTH_MODE: 'required', PUBLIC_URL }, clock).size, 1)
  t.equal(
    createOpenIdSignIns(readIssuers(`[{"issuer":"https://a","audience":"b"}]`), { AUTH_MODE: 'required' }, clock).size,
    0,
  )
  t.throws(() => readIssuers('[{"issuer":"https://a","audience":"b","scope":"profile"}]'), { message: /scope/ })
})
