import { createCluster } from '@orders/database/testing'
import { errorCatalogue } from '@orders/schema'
import t from 'tap'
import { openBrowser, sameOrigin } from './ui/browser.ts'

const place = { Amount: '1' }

t.test('only forms of our own pages are taken', async (t) => {
  const browser = await openBrowser(t)
  const { get, post, submit, server } = browser
  const { page } = await get('/ui/place-order')
  const form = page.form('Place order')
  const refused: [string, Record<string, string>][] = [
    ['another site', { 'sec-fetch-site': 'cross-site' }],
    ['a neighbour', { 'sec-fetch-site': 'same-site' }],
    ['another origin', { origin: 'https://evil.example' }],
    ['another port', { origin: 'http://localhost:81' }],
    ['a hidden origin', { origin: 'null' }],
    ['nobody who says where it comes from', {}],
    ['another site that claims our origin', { 'sec-fetch-site': 'cross-site', origin: 'http://localhost' }],
  ]
  for (const [from, headers] of refused) {
    const answer = await submit(form, place, headers as typeof sameOrigin)
    t.equal(answer.statusCode, 403, from)
    t.equal(answer.page.heading(), errorCatalogue.CROSS_SITE_REQUEST.title)
  }

  const token = form.querySelector('[name="_csrf"]')?.getAttribute('value') ?? ''
  const fields = { amount: '1', currency: 'EUR', key: 'k'.repeat(22) }
  const wrong = [undefined, '', '.', 'x', `${token}x`, token.replace(/\..*/, '.'), token.replace(/^[^.]*/, 'salt')]
  for (const _csrf of wrong) {
    const answer = await post('/ui/orders', { ...fields, ...(_csrf !== undefined && { _csrf }) })
    t.equal(answer.statusCode, 403, `token ${_csrf}`)
  }
  const other = await openBrowser(t)
  await other.get('/')
  t.equal((await other.post('/ui/orders', { ...fields, _csrf: token })).statusCode, 403, "another browser's token")
  t.equal((await other.submit(form, place)).statusCode, 403)
  const cookieless = { 'content-type': 'application/x-www-form-urlencoded', ...sameOrigin }
  const payload = new URLSearchParams({ ...fields, _csrf: token }).toString()
  const bare = await server.inject({ method: 'POST', url: '/ui/orders', headers: cookieless, payload })
  t.equal(bare.statusCode, 403, 'no cookie')
  const { data } = (await server.inject('/orders')).json()
  t.same(data, [], 'nothing was placed')

  for (const headers of [sameOrigin, { 'sec-fetch-site': 'none' }, { origin: 'http://localhost' }]) {
    const fresh = (await get('/ui/place-order')).page.form('Place order')
    t.equal((await submit(fresh, place, headers as typeof sameOrigin)).statusCode, 303, JSON.stringify(headers))
  }
  for (const what of ['confirm', 'complete', 'cancel', 'edit']) {
    t.equal((await post(`/ui/orders/any/${what}`, {})).statusCode, 403, what)
  }
})

t.test('over https the cookie cannot be set by anyone else', async (t) => {
  const { get, cookies, server } = await openBrowser(t, { TRUSTED_PROXIES: '127.0.0.1' })
  await get('/')
  t.same([...cookies.keys()], ['orders-form'])
  const { headers } = await server.inject({ url: '/', headers: { 'x-forwarded-proto': 'https' } })
  t.match(headers['set-cookie'], /^__Host-orders-form=[A-Za-z0-9_-]{22}; Path=\/; HttpOnly; Secure; SameSite=Lax$/)
  t.notOk((await get('/')).headers['set-cookie'], 'and is set once')
})

t.test('pages have the headers of a page, and the API keeps its own', async (t) => {
  const { get, server } = await openBrowser(t)
  for (const url of [
    '/',
    '/ui/place-order',
    '/sign-in',
    '/sign-in/callback',
    '/errors',
    '/ui/orders/none',
    '/nowhere',
  ]) {
    const { headers, page } = await get(url)
    t.match(headers['content-type'], 'text/html; charset=utf-8')
    const csp = String(headers['content-security-policy'])
    t.match(csp, "default-src 'none'; script-src 'self'; style-src 'self';")
    t.match(csp, "require-trusted-types-for 'script'")
    t.notMatch(csp, 'unsafe')
    t.equal(headers['x-frame-options'], 'DENY')
    t.equal(headers['cache-control'], 'no-store')
    t.equal(headers['referrer-policy'], 'same-origin')
    t.equal(headers['cross-origin-opener-policy'], 'same-origin')
    t.match(headers['permissions-policy'], 'camera=()')
    t.equal(page.all('[style], style, script:not([src^="/assets/live.js?"])').length, 0)
    t.equal(page.document.documentElement.getAttribute('lang'), 'en')
    t.equal(page.all('main').length, 1)
    t.equal(page.all('h1').length, 1)
  }
  const api = await server.inject({ url: '/orders/none', headers: { accept: 'text/html' } })
  t.match(api.headers['content-type'], 'application/problem+json')
  t.match(api.headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'")
  t.match((await server.inject('/nowhere')).headers['content-type'], 'application/problem+json')
  t.notOk(JSON.stringify((await server.inject('/openapi.json')).json()).includes('/ui/'))
})

t.test('the style sheet may be kept for ever under its address', async (t) => {
  const { get, server } = await openBrowser(t)
  const address = (await get('/')).page.document.querySelector('[rel="stylesheet"]')?.getAttribute('href') ?? ''
  const css = await server.inject(address)
  t.equal(css.statusCode, 200)
  t.equal(css.headers['content-type'], 'text/css; charset=utf-8')
  t.equal(css.headers['cache-control'], 'public, max-age=31536000, immutable')
  t.equal((await server.inject('/assets/site.css?v=other')).headers['cache-control'], 'no-cache')
})

t.test('every error has its page, and every refusal one', async (t) => {
  const { get, post, submit, server } = await openBrowser(t)
  const index = await get('/errors')
  for (const [code, { status, title, help }] of Object.entries(errorCatalogue)) {
    const { statusCode, page } = await get(index.page.link(code) ?? '')
    t.equal(statusCode, 200)
    t.match(page.text('main'), title)
    t.match(page.text('main'), String(status))
    t.match(page.text('main'), help.replace(/\s+/g, ' '))
  }
  for (const url of [
    '/errors/NOPE',
    '/errors/toString',
    '/ui/orders/none',
    '/ui/orders/%00',
    '/ui/orders/-',
    '/nowhere',
  ]) {
    const { statusCode, page } = await get(url)
    t.equal(statusCode, 404, url)
    t.equal(page.link('All orders'), '/')
  }
  t.match(await get('/?cursor=forged'), { statusCode: 400 })
  for (const [method, url, allow] of [
    ['PUT', '/ui/place-order', 'GET, HEAD'],
    ['GET', '/ui/orders/a/confirm', 'POST'],
    ['DELETE', '/ui/orders/a', 'GET, HEAD'],
  ] as const) {
    const { statusCode, headers } = await server.inject({ method, url })
    t.equal(statusCode, 405, `${method} ${url}`)
    t.equal(headers.allow, allow)
  }
  const { page } = await get('/')
  const gone = await submit(page.form('Place order'), place)
  const order = await get(String(gone.headers.location))
  const token = order.page.document.querySelector('[name="_csrf"]')?.getAttribute('value') ?? ''
  t.equal(
    (await post('/ui/orders/none/confirm', { _csrf: token })).page.heading(),
    errorCatalogue.ORDER_NOT_FOUND.title,
  )
  t.equal((await post('/ui/orders/none/edit', { _csrf: token })).statusCode, 404)
  const long = await post('/ui/orders', { _csrf: token, description: 'x'.repeat(70_000) })
  t.equal(long.statusCode, 413)
  t.equal(long.page.heading(), errorCatalogue.BODY_TOO_LARGE.title)
  const json = { 'content-type': 'application/json', ...sameOrigin }
  t.equal((await server.inject({ method: 'POST', url: '/ui/orders', headers: json, payload: '{}' })).statusCode, 415)
})

t.test('reports of a broken policy are taken, and nothing else', async (t) => {
  const { server } = await openBrowser(t)
  const send = (type: string, payload: string) =>
    server.inject({ method: 'POST', url: '/ui/csp-reports', headers: { 'content-type': type }, payload })
  const report = [{ type: 'csp-violation', body: { effectiveDirective: 'img-src', blockedURL: 'https://a.example' } }]
  t.equal((await send('application/reports+json', JSON.stringify(report))).statusCode, 204)
  for (const odd of ['', '{', 'null', '[null]', '[{"body":null}]', '"x"']) {
    t.equal((await send('application/reports+json', odd)).statusCode, 204, odd)
  }
  t.equal((await send('application/json', '[]')).statusCode, 415)
  t.equal((await send('application/reports+json', ' '.repeat(20_000))).statusCode, 413)
})

t.test('a form that met a database that is down can be sent again as it is', async (t) => {
  const cluster = await createCluster(t)
  const { get, submit } = await openBrowser(t, { url: cluster.url })
  const { page } = await get('/')
  await cluster.kill()
  const list = await get('/')
  t.equal(list.statusCode, 503)
  t.equal(list.headers['retry-after'], '2')
  t.equal(list.page.heading(), errorCatalogue.DATABASE_UNAVAILABLE.title)

  const failed = await submit(page.form('Place order'), { ...place, Description: 'Kept' })
  t.equal(failed.statusCode, 503)
  t.match(failed.page.alert(), 'It is safe to send the form again: the order is placed once.')
  await cluster.restart()
  const placed = await submit(failed.page.form('Place order'))
  t.equal(placed.statusCode, 303)
  t.equal(
    (await submit(page.form('Place order'), { ...place, Description: 'Kept' })).headers.location,
    placed.headers.location,
  )
  t.match((await get('/')).page.rows(), [[/Kept/]])
})
