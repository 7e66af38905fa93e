import t from 'tap'
import { startService } from './service.ts'

const service = await startService(t)
const { send, sendRaw, place } = service
await place({ id: 'one', amount: 1 })
const json = { 'content-type': 'application/json' }

t.test('HEAD of an export and of a stream is GET without a body', async (t) => {
  for (const prefix of ['', '/api/v1']) {
    for (const query of ['?format=csv', '?format=ndjson', '', '?format=x', '?format=csv&created_from=x']) {
      const path = `${prefix}/orders/export${query}`
      const [head, get] = [await send('HEAD', path), await send('GET', path)]
      t.equal(head.status, get.status, path)
      t.equal(head.text, '')
      for (const name of ['content-type', 'content-disposition']) t.equal(head.headers[name], get.headers[name], name)
    }
    t.match(await send('HEAD', `${prefix}/orders/stream`), {
      status: 200,
      headers: { 'content-type': 'text/event-stream' },
    })
    const late = { headers: { 'last-event-id': '999999' } }
    t.match(await send('HEAD', `${prefix}/orders/stream`, late), { status: 410 })
    t.match(await send('HEAD', `${prefix}/orders/stream`, { headers: { 'last-event-id': 'x' } }), { status: 400 })
  }
  t.equal(service.server.orderStream.readers(), 0, 'no stream stays open')
})

t.test('OPTIONS * is answered', async (t) => {
  const { status, headers } = await send('OPTIONS', '*')
  t.equal(status, 200)
  t.equal(headers['content-length'], '0')
})

t.test('a wrong method is 405 with the methods of the very address', async (t) => {
  const addresses = {
    '/orders/export': 'GET, HEAD',
    '/orders/stats': 'GET, HEAD',
    '/orders/stream': 'GET, HEAD',
    '/orders/import': 'POST',
  }
  for (const [path, allow] of Object.entries(addresses)) {
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY', 'PROPFIND']) {
      if (allow.split(', ').includes(method)) continue
      for (const prefix of ['', '/api/v1']) {
        const answer = await send(
          method,
          prefix + path,
          method === 'PATCH' ? { headers: { ...json, 'if-match': '*' }, body: '{}' } : {},
        )
        t.match(answer, { status: 405, headers: { allow } }, `${method} ${prefix}${path}`)
      }
    }
  }
})

t.test('QUERY and unknown methods are 405', async (t) => {
  const bodies: [string, string][] = [
    ['', ''],
    ['Content-Length: 2\r\nContent-Type: application/json\r\n', '{}'],
    ['Content-Length: 2\r\n', 'ab'],
    ['Content-Length: 3\r\nContent-Type: text/plain\r\n', 'abc'],
  ]
  for (const method of ['QUERY', 'FOO', 'GETX', 'get', 'BREW', 'X-Y']) {
    for (const [headers, body] of bodies) {
      for (const [path, allow] of [
        ['/orders', 'GET, HEAD, POST'],
        ['/orders/one', 'GET, HEAD, PATCH'],
        ['/health', 'GET, HEAD'],
      ]) {
        const answer = await sendRaw(
          `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n${body}`,
        )
        const [head = '', text = ''] = answer.split('\r\n\r\n')
        t.match(head, /^HTTP\/1\.1 405 /, `${method} ${path}`)
        t.match(head.toLowerCase(), `allow: ${allow?.toLowerCase()}`)
        t.match(JSON.parse(text), { error: 'METHOD_NOT_ALLOWED', status: 405 })
      }
    }
  }
  for (const line of ['G<T /orders HTTP/1.1', 'GET', '\u0016\u0003', 'FOO /orders', 'FOO  /orders HTTP/1.1']) {
    t.match(await sendRaw(`${line}\r\nHost: localhost\r\n\r\n`), /^HTTP\/1\.1 400 /, `${line} is no request`)
  }
  t.match(await sendRaw('FOO /nope HTTP/1.1\r\nHost: localhost\r\n\r\n'), /^HTTP\/1\.1 404 /)
})

t.test('a byte-order mark before JSON is no part of it', async (t) => {
  const body = (text: string) => ({ headers: json, body: `\ufeff${text}` })
  t.match(await send('POST', '/orders', body('{"id":"marked","amount":1}')), { status: 201, json: { id: 'marked' } })
  t.match(await send('POST', '/orders', body('')), { status: 400, json: { error: 'JSON_INVALID' } })
  t.match(await send('POST', '/orders', body('\ufeff{"amount":1}')), { status: 400 }, 'one mark only')
  t.match(await send('POST', '/orders', { headers: json, body: '{"amount":1}\ufeff' }), { status: 400 })
})

t.test('an Idempotency-Key may be quoted, as the draft of the IETF writes it', async (t) => {
  const keyed = (key: string, amount = 1) =>
    send('POST', '/orders', { headers: { 'idempotency-key': key }, body: { amount } })
  const key = 'a-key-of-the-draft'
  const first = await keyed(`"${key}"`)
  t.equal(first.status, 201)
  for (const again of [key, `"${key}"`]) {
    t.match(await keyed(again), {
      status: 201,
      headers: { 'idempotency-replayed': 'true' },
      json: { id: first.json.id },
    })
  }
  t.match(await keyed(key, 2), { status: 422 })
  for (const wrong of [
    `"${key}`,
    `${key}"`,
    `""${key}""`,
    `'${key}'`,
    '"short"',
    `"${'x'.repeat(256)}"`,
    `"${key}";a=1`,
  ]) {
    t.match(await keyed(wrong), { status: 400, json: { error: 'IDEMPOTENCY_KEY_INVALID' } }, wrong)
  }
})

t.test('the last request of a connection is answered, and those behind it are not', async (t) => {
  const get = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n'
  const answer = await sendRaw(get.repeat(1005))
  t.equal(answer.match(/HTTP\/1\.1 200 /g)?.length, 1000)
  t.notMatch(answer, /HTTP\/1\.1 503/)
  t.equal(answer.match(/^connection: close\r$/gim)?.length, 1)
  const asked = 'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'
  t.equal((await sendRaw(asked + get)).match(/HTTP\/1\.1 /g)?.length, 1)
})

t.test('every 415 names the accepted types', async (t) => {
  const form = 'application/x-www-form-urlencoded'
  const csv = 'text/csv'
  const cases: [path: string, headers: Record<string, string>, accepted: RegExp, body?: string][] = [
    ['/orders', { 'content-type': 'text/plain' }, /application\/json/],
    ['/orders', {}, /application\/json/],
    ['/orders', { 'content-type': 'application/json; charset=latin1' }, /application\/json/],
    ['/orders', { ...json, 'content-encoding': 'gzip' }, /application\/json/],
    ['/orders/import', json, /text\/csv.*application\/x-ndjson/],
    ['/orders/import', { 'content-type': `${csv}; charset=latin1` }, /text\/csv.*application\/x-ndjson/],
    ['/orders/import', { 'content-type': csv, 'content-encoding': 'x' }, /text\/csv.*application\/x-ndjson/],
    ['/ui/orders', { ...json, 'sec-fetch-site': 'same-origin' }, new RegExp(form)],
    ['/ui/csp-reports', json, /application\/reports\+json/],
    ['/api/v1/orders/one/confirm', { 'content-type': 'text/plain' }, /application\/json/],
  ]
  for (const [path, headers, accepted] of cases) {
    const { status, text, headers: answered } = await send('POST', path, { headers, body: 'x' })
    t.equal(status, 415, `${path} ${JSON.stringify(headers)}`)
    t.match(text, accepted)
    if (path !== '/ui/orders') t.match(answered.accept, accepted)
  }
})
