import { randomUUID } from 'node:crypto'
import { METHODS } from 'node:http'
import { type ErrorCode, errorCatalogue } from '@orders/schema'
import t, { type Test } from 'tap'
import { type Answer, startService } from './service.ts'

const service = await startService(t, { ORDERS_COMMIT: 'abc1234' })
const { send, sendRaw, place } = service
await place({ id: 'one', amount: 1 })

function refused(t: Test, answer: Answer, code: ErrorCode, about = ''): void {
  t.equal(answer.json?.error, code, `${about} ${code}`)
  t.equal(answer.status, errorCatalogue[code].status)
  t.equal(answer.headers['content-type'], 'application/problem+json')
  t.match(answer.json, { type: `/errors/${code}`, status: answer.status, title: errorCatalogue[code].title })
  t.equal(answer.json.request_id, answer.headers['x-request-id'])
  t.equal(answer.json.detail, answer.json.message)
}

t.test('an address says with Allow which methods it takes', async (t) => {
  const routes: Record<string, string> = {
    '/orders': 'GET, HEAD, POST',
    '/orders/one': 'GET, HEAD, PATCH',
    '/orders/one/confirm': 'POST',
    '/orders/one/complete': 'POST',
    '/orders/one/cancel': 'POST',
    '/orders/one/events': 'GET, HEAD',
  }
  const plain = ['/health', '/livez', '/readyz', '/ready', '/version', '/metrics', '/openapi.json', '/docs/']
  const all = [
    ...Object.entries(routes).flatMap(([path, allow]) => [[path, allow] as const, [`/api/v1${path}`, allow] as const]),
    ...plain.map((path) => [path, 'GET, HEAD'] as const),
  ]
  for (const [path, allow] of all) {
    for (const method of METHODS) {
      if (allow.split(', ').includes(method) || /^(CONNECT|QUERY)$/.test(method)) continue
      const answer = await send(method, path)
      if (answer.status !== 405 || answer.headers.allow !== allow) t.fail(`${method} ${path}: ${answer.status}`, answer)
    }
    const query = await send('QUERY', path, { body: {} })
    t.match(query, { status: 405, headers: { allow } }, path)
    t.equal(query.json.error, 'METHOD_NOT_ALLOWED')
  }
})

t.test('HEAD is GET without a body', async (t) => {
  for (const path of ['/orders', '/orders/one', '/orders/none', '/health', '/metrics', '/%', `/${'x'.repeat(9000)}`]) {
    const [head, get] = [await send('HEAD', path), await send('GET', path)]
    t.equal(head.status, get.status, path.slice(0, 20))
    t.equal(head.text, '')
    t.equal(head.headers['content-type'], get.headers['content-type'])
  }
})

t.test('what is not there answers the same everywhere', async (t) => {
  for (const path of [
    '/nope',
    '//',
    '/orders;x',
    '/api',
    '/api/v2/orders',
    '/docs/static/none.js',
    '/docs/static/%2e%2e/x',
  ]) {
    for (const method of ['GET', 'POST', 'DELETE']) {
      if (path.startsWith('/docs') && method !== 'GET') continue
      const answer = await send(method, path)
      refused(t, answer, 'NOT_FOUND', `${method} ${path}`)
      t.equal(answer.json.detail, 'There is nothing here.')
    }
  }
  refused(t, await send('GET', '/orders/none'), 'ORDER_NOT_FOUND')
})

t.test('bodies of other types, codings and sizes are refused', async (t) => {
  const body = '{"amount":1}'
  const types = ['text/plain', 'application/jsonx', 'application/json, text/plain', 'application', ';', '']
  const charsets = ['application/json;charset=latin1', 'application/json; charset="utf-16"']
  for (const type of [...types, ...charsets, 'multipart/form-data', 'application/x-www-form-urlencoded']) {
    const answer = await send('POST', '/orders', { body, headers: { 'content-type': type } })
    refused(t, answer, 'UNSUPPORTED_MEDIA_TYPE', type)
  }
  refused(t, await send('POST', '/orders', { body }), 'UNSUPPORTED_MEDIA_TYPE', 'none')
  for (const type of ['APPLICATION/JSON', 'application/json; charset=utf-8', 'application/json;charset="UTF-8"']) {
    t.equal((await send('POST', '/orders', { body, headers: { 'content-type': type } })).status, 201, type)
  }
  const coded = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
  refused(t, await send('POST', '/orders', { body, headers: coded }), 'UNSUPPORTED_MEDIA_TYPE', 'gzip')
  const json = { 'content-type': 'application/json' }
  refused(t, await send('POST', '/orders', { body: ' '.repeat(65_537), headers: json }), 'BODY_TOO_LARGE')
  t.equal((await send('POST', '/orders', { body: body.padEnd(65_536), headers: json })).status, 201)
})

t.test('addresses and headers have bounds', async (t) => {
  refused(t, await send('GET', `/orders/${'a'.repeat(101)}`), 'URI_TOO_LONG')
  refused(t, await send('GET', `/orders/${'a'.repeat(65)}`), 'VALIDATION_FAILED')
  refused(t, await send('GET', '/health', { headers: { 'x-large': 'x'.repeat(8200) } }), 'HEADERS_TOO_LARGE')
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`x-${i}`, '1']))
  refused(t, await send('GET', '/health', { headers: many(63) }), 'HEADERS_TOO_LARGE') // and Host and Connection
  t.equal((await send('GET', '/health', { headers: many(62) })).status, 200)
  for (const path of ['/%', '/orders/%zz', '/orders/%E0%A4%A']) {
    const answer = await send('GET', path)
    refused(t, answer, 'BAD_REQUEST', path)
    t.equal(answer.headers['x-content-type-options'], 'nosniff')
  }
})

t.test('requests that two readers could take for different ones are refused', async (t) => {
  const post = (...headers: string[]) =>
    ['POST /orders HTTP/1.1', 'Connection: close', ...headers, '', '{"amount":1}'].join('\r\n')
  const json = 'Content-Type: application/json'
  const length = 'Content-Length: 12'
  const bad: Record<string, string> = {
    'no host': post(json, length),
    'two hosts': post('Host: a', 'Host: b', json, length),
    'two lengths': post('Host: a', json, length, 'Content-Length: 13'),
    'length and chunks': post('Host: a', json, length, 'Transfer-Encoding: chunked'),
    'a negative length': post('Host: a', json, 'Content-Length: -1'),
    'a compressed transfer': post('Host: a', json, 'Transfer-Encoding: gzip, chunked'),
    'a space in a name': post('Host: a', json, length, 'Bad Name: x'),
    'no HTTP': '\u0016\u0003\u0001\r\n\r\n',
    'another version': 'GET /health HTTP/3.0\r\nHost: a\r\n\r\n',
    'a raw path': 'GET /orders/\u00e9 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    tunnel: 'CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n',
  }
  for (const [what, bytes] of Object.entries(bad)) {
    const [head = '', body = ''] = (await sendRaw(bytes)).split('\r\n\r\n')
    t.match(head, /^HTTP\/1\.1 400 Bad Request\r\n/, what)
    t.match(JSON.parse(body), { error: 'BAD_REQUEST', status: 400, type: '/errors/BAD_REQUEST' })
    t.match(head, /content-type: application\/problem\+json/i)
  }
  t.match(await sendRaw(post('Host: a', json, 'Content-Type: text/plain', length)), /UNSUPPORTED_MEDIA_TYPE/)
  t.match(await sendRaw(post('Host: a', json, length, 'Expect: 200-ok')), /^HTTP\/1\.1 417 [\s\S]*EXPECTATION_FAILED/)
  t.match(
    await sendRaw(post('Host: localhost', json, length, 'Expect: 100-continue')),
    /^HTTP\/1\.1 100 [\s\S]*HTTP\/1\.1 201 /,
  )
  t.match(await sendRaw('GET /health HTTP/1.0\r\n\r\n'), /^HTTP\/1\.1 200 /)
  t.match(
    await sendRaw('GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'),
    /^HTTP\/1\.1 200 /,
  )
})

t.test('every answer has the headers of defence, the request id and the commit', async (t) => {
  const expected = {
    'cache-control': 'no-store',
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'strict-transport-security': 'max-age=63072000; includeSubDomains',
    'x-content-type-options': 'nosniff',
    'x-orders-version': 'abc1234',
  }
  for (const path of ['/orders', '/orders/none', '/nope', '/%', '/health', '/metrics']) {
    const { headers } = await send('GET', path)
    t.match(headers, expected, path)
    t.ok(headers['x-request-id'])
    for (const name of ['server', 'x-powered-by', 'access-control-allow-origin']) t.notOk(headers[name], name)
  }
})

t.test('a valid request id or trace is kept, others are replaced', async (t) => {
  const idOf = async (headers: Record<string, string>) => (await send('GET', '/nope', { headers })).json.request_id
  const own = randomUUID()
  const trace = '0af7651916cd43dd8448eb211c80319c'
  const traceparent = `00-${trace}-b7ad6b7169203331-01`
  t.equal(await idOf({ 'x-request-id': own }), own)
  t.equal(await idOf({ traceparent }), trace)
  t.equal(await idOf({ 'x-request-id': own, traceparent }), own)
  t.equal(await idOf({ 'x-request-id': 'a b', traceparent }), trace)
  for (const bad of ['a b', 'x'.repeat(65), '<script>', '', 'a,b', '../x']) {
    t.match(await idOf({ 'x-request-id': bad }), /^[0-9a-f-]{36}$/, bad)
  }
  for (const bad of ['00-xyz', `${traceparent}-x`, traceparent.toUpperCase()])
    t.not(await idOf({ traceparent: bad }), trace)
  t.not(await idOf({}), await idOf({}))
})
