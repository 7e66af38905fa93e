import { once } from 'node:events'
import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { parse } from 'csv-parse/sync'
import { stringify } from 'csv-stringify/sync'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { formatRecord, neutralise, parseRecord, restore } from '../src/api/csv.ts'
import { type Line, readLines } from '../src/api/lines.ts'
import { type Service, startService } from './service.ts'

const csv = { 'content-type': 'text/csv' }
const ndjson = { 'content-type': 'application/x-ndjson' }
const path = '/api/v1/orders/import'
const importing = (service: Service, headers: object, body: string | Buffer) =>
  service.send('POST', path, { headers: { ...headers }, body })
const lineOf = (order: object) => `${JSON.stringify(order)}\n`
const counts = ({ lines, placed_count, existing_count, refused_count }: Record<string, number>) => [
  lines,
  placed_count,
  existing_count,
  refused_count,
]

const exported = async ({ port }: Service, query: string) => {
  const answer = await fetch(`http://127.0.0.1:${port}/orders/export?${query}`)
  return { headers: answer.headers, text: await answer.text() }
}

/** Waits until the service has all its connections to the database back. */
async function untilReturned({ server }: Service) {
  for (const giveUpAt = Date.now() + 10_000; ; await new Promise(setImmediate)) {
    const { idle, total } = server.database.poolState()
    if (idle === total) return
    if (Date.now() > giveUpAt) throw new Error('a connection was not given back within 10 s')
  }
}

t.test('lines of CSV and NDJSON are placed or refused one by one', async (t) => {
  const service = await startService(t)
  const file = Buffer.concat([
    Buffer.from('\ufeffid,amount,currency,description,metadata.channel\r\n'),
    Buffer.from('a,10.50,EUR,"one, ""quoted""",web\r\n\r\n'),
    Buffer.from('b,1e3,,,\n,5,,,\nc,5,JPY,,\nc,5.5,JPY,,\nd,5,EUR\n"e"x,1,,,\nf,1,,"two\nlines",\n'),
    Buffer.from('g,12345678901234567,,,\nh,5,,'),
    Buffer.from([0xff]),
    Buffer.from(`,\ni,5,,${'x'.repeat(70_000)},\nj,5,,'=1+1,`),
  ])
  const { status, json } = await importing(service, csv, file)
  t.equal(status, 200)
  t.strictSame(
    json.refused.map(({ line, error }: { line: number; error: string }) => `${line} ${error}`),
    [
      '4 AMOUNT_INVALID',
      '5 VALIDATION_FAILED',
      '7 AMOUNT_INVALID',
      '8 VALIDATION_FAILED',
      '9 VALIDATION_FAILED',
      '10 VALIDATION_FAILED',
      '12 AMOUNT_INVALID',
      '13 VALIDATION_FAILED',
      '14 VALIDATION_FAILED',
    ],
  )
  t.strictSame(counts(json), [12, 3, 0, 9])
  const { json: order } = await service.send('GET', '/orders/a')
  t.match(order, { amount: 10.5, description: 'one, "quoted"', metadata: { channel: 'web' } })
  t.equal((await service.send('GET', '/orders/j')).json.description, '=1+1')

  const body = `${lineOf({ id: 'a', amount: 10.5 })}\n{"id":"n","amount":1,"amount":2}\n{"id":"m","amount":"3"}\n${lineOf({ id: 'n', amount: 7 })}[]`
  const second = await importing(service, ndjson, body)
  const codes = second.json.refused.map((it: { line: number; error: string }) => `${it.line} ${it.error}`)
  t.strictSame(codes, ['1 ORDER_ID_TAKEN', '3 JSON_INVALID', '4 VALIDATION_FAILED', '6 VALIDATION_FAILED'])
  const again = await service.send('POST', '/orders/import', { headers: ndjson, body })
  t.strictSame(counts(again.json), [5, 0, 1, 4], 'the same again places nothing, at the other address too')
})

t.test('what is no import is refused as a whole', async (t) => {
  const service = await startService(t)
  const refused: [object, string, number, RegExp][] = [
    [{ 'content-type': 'application/json' }, '{}', 415, /UNSUPPORTED_MEDIA_TYPE/],
    [{ 'content-type': 'text/csv; charset=latin1' }, 'id,amount\n', 415, /UTF-8/],
    [{ ...csv, accept: 'text/html' }, 'id,amount\n', 406, /NOT_ACCEPTABLE/],
    [{ ...csv, accept: 'application/json;q=0, */*;q=0' }, 'id,amount\n', 406, /NOT_ACCEPTABLE/],
    [csv, '\n \n', 400, /is empty/],
    [csv, 'id,amount,foo,bar\na,1,,\n', 400, /not take: \\"foo\\", \\"bar\\"/],
    [csv, 'id,amount,id\n', 400, /names id twice/],
    [csv, 'amount\n', 400, /lacks the column id/],
    [csv, 'id,amount,metadata,metadata.a\n', 400, /both/],
    [csv, 'id,amount,metadata.__proto__\n', 400, /not take/],
  ]
  for (const [headers, body, status, text] of refused) {
    const answer = await importing(service, headers, body)
    t.equal(answer.status, status, answer.text)
    t.match(answer.text, text)
  }
  t.equal((await service.send('POST', path)).status, 415, 'no body')
  t.strictSame((await service.send('GET', '/orders')).json.data, [])
  const early = await importing(service, csv, `id,foo\n${'a,1\n'.repeat(2_000_000)}`)
  t.equal(early.status, 400, 'a long body that is refused at its start is answered')
})

t.test('an answer in lines shows refusals and progress while the file is sent', async (t) => {
  const service = await startService(t)
  const headers = { ...ndjson, accept: 'application/x-ndjson' }
  const request = http.request({ host: '127.0.0.1', port: service.port, method: 'POST', path, headers })
  request.write(`{}\n`)
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  t.equal(response.headers['content-type'], 'application/x-ndjson; charset=utf-8')
  const lines = response.setEncoding('utf8').iterator()
  const next = async () => JSON.parse((await lines.next()).value)
  t.match(await next(), { type: 'refused', line: 1, error: 'VALIDATION_FAILED' })
  let sent = 0
  const sending = setInterval(() => request.write(lineOf({ id: `o-${sent++}`, amount: 1 })), 20)
  t.teardown(() => clearInterval(sending))
  const progress = await next()
  t.equal(progress.type, 'progress')
  t.equal(progress.placed_count + 1, progress.lines)
  clearInterval(sending)
  request.end()
  t.strictSame(await next(), {
    type: 'report',
    lines: sent + 1,
    placed_count: sent,
    existing_count: 0,
    refused_count: 1,
  })
})

t.test('a report of very many refusals is whole', async (t) => {
  const service = await startService(t)
  const { json } = await importing(service, csv, `id,amount\n${'x,0\n'.repeat(100_000)}`)
  t.equal(json.refused.length, 100_000)
  t.strictSame(counts(json), [100_000, 0, 0, 100_000])
})

t.test('an import without a database says so and can be sent again', async (t) => {
  const service = await startService(t)
  const body = lineOf({ id: 'a', amount: 1 })
  const { pool } = service.server.pg
  const { connect } = pool
  pool.connect = () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
  const answer = await importing(service, ndjson, body)
  t.equal(answer.status, 503)
  t.match(answer.json, { error: 'DATABASE_UNAVAILABLE' })
  pool.connect = connect
  t.strictSame(counts((await importing(service, ndjson, body)).json), [1, 1, 0, 0])
})

t.test('an export can be imported elsewhere and holds no formula', async (t) => {
  const [from, to] = [await startService(t), await startService(t)]
  const texts = ['=1+1', "'=x", '@a', '-5', '+5', "it's", 'a,"b"', '', 'über €', null]
  for (const [i, description] of texts.entries()) {
    await from.place({ id: `o-${i}`, amount: 1.5 + i, currency: 'USD', description, metadata: { '=key': '=value' } })
  }
  await from.send('POST', '/orders/o-3/confirm')
  for (const [format, headers] of [
    ['csv', csv],
    ['ndjson', ndjson],
  ] as const) {
    const file = await exported(from, `format=${format}&fields=import`)
    t.match(file.headers.get('content-disposition'), `attachment; filename="orders.${format}"`)
    const { json } = await importing(to, headers, file.text)
    t.strictSame(counts(json), format === 'csv' ? [10, 10, 0, 0] : [10, 0, 10, 0], format)
    t.strictSame(counts((await importing(from, headers, file.text)).json), [10, 0, 10, 0], 'and where it comes from')
  }
  const whole = await from.send('GET', '/orders/export?format=csv')
  const rows = parse(whole.text, { columns: true }) as Record<string, string>[]
  t.equal(rows.length, 10)
  t.notOk(rows.some((row) => Object.values(row).some((cell) => /^[=+\-@\t\r]/.test(cell))))
  t.match(rows.at(-1), { id: 'o-0', amount: '1.5', description: "'=1+1", metadata: '{"=key":"=value"}', version: '1' })
  const lines = (await exported(from, 'format=ndjson&status=confirmed')).text.trim().split('\n')
  t.strictSame(
    lines.map((line) => JSON.parse(line)),
    [(await from.send('GET', '/orders/o-3')).json],
  )
  t.equal((await from.send('GET', '/orders/export')).status, 400)
  t.equal((await importing(to, csv, whole.text)).status, 400, 'what an import cannot keep is refused, not dropped')
})

t.test('who goes away leaves no connection behind', async (t) => {
  const service = await startService(t)
  const rows = Array.from({ length: 20_000 }, (_, i) =>
    lineOf({ id: `o-${i}`, amount: 1, description: 'x'.repeat(500) }),
  )
  t.equal((await importing(service, ndjson, rows.join(''))).json.placed_count, 20_000)
  const open = () => {
    const request = http.get({ host: '127.0.0.1', port: service.port, path: '/orders/export?format=ndjson' })
    request.on('error', () => {})
    return once(request, 'response') as Promise<[http.IncomingMessage]>
  }
  const responses = [(await open())[0], (await open())[0]]
  const third = await service.send('GET', '/orders/export?format=csv')
  t.match(third, { status: 429, json: { error: 'RATE_LIMITED' } })
  t.equal(third.headers['retry-after'], '10')
  t.notOk(service.server.database.poolState().idle === service.server.database.poolState().total, 'they hold two')
  for (const response of responses) response.destroy()
  await untilReturned(service)
  t.equal((await service.send('GET', '/orders/export?format=csv')).text.split('\r\n').length, 20_002)

  const socket = connect(service.port, '127.0.0.1')
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/csv\r\nContent-Length: 1000\r\n\r\nid,amount\nz,1\n`,
  )
  await once(socket, 'connect')
  while ((await service.send('GET', '/orders/z')).status !== 200) await new Promise(setImmediate)
  socket.destroy()
  await untilReturned(service)
  t.equal((await service.send('GET', '/health')).status, 200)
})

t.test('exports one after the other on one connection leave nothing on it', async (t) => {
  const { server, port } = await startService(t)
  const { promise: accepted, resolve } = Promise.withResolvers<Socket>()
  server.server.once('connection', resolve)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(async () => agent.destroy())
  const read = async () => {
    const request = http.get({ agent, port, host: '127.0.0.1', path: '/orders/export?format=csv' })
    const [response] = await once(request, 'response')
    for await (const _ of response);
  }
  await read()
  const socket = await accepted
  const before = socket.listenerCount('close')
  for (let i = 0; i < 12; i++) await read()
  t.equal(socket.listenerCount('close'), before)
})

t.test('slow headers, bodies and imports end within 12 seconds', async (t) => {
  const service = await startService(t)
  const slow = async (t: Test, start: string, drop: string, expected: RegExp) => {
    const socket = connect(service.port, '127.0.0.1')
    socket.on('error', () => {})
    let text = ''
    socket.on('data', (data) => {
      text += data
    })
    const began = performance.now()
    socket.write(start)
    const dripping = setInterval(() => socket.writable && socket.write(drop), 500)
    await new Promise((resolve) => socket.once('close', resolve)) // with or without an error: the server may reset it
    clearInterval(dripping)
    const seconds = (performance.now() - began) / 1000
    t.match(text, expected)
    t.ok(seconds < 12, `${start.split('\r')[0]} took ${seconds} s`)
  }
  const head = (method: string, url: string, type: string) =>
    `${method} ${url} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\nContent-Length: 1000\r\nIf-Match: *\r\n\r\n`
  const late = /^HTTP\/1.1 408 [\s\S]*"error":"REQUEST_TIMEOUT"/
  await Promise.all([
    slow(t, 'GET /health HTTP/1.1\r\nHost: localhost\r\n', 'X-A: b\r\n', late),
    slow(t, `${head('POST', '/orders', 'application/json')}{"id":`, ' ', late),
    slow(t, `${head('PATCH', '/orders/a', 'application/json')}{"description":`, ' ', late),
    slow(t, `${head('POST', path, 'text/csv')}id,amount\n`, '1', late),
    slow(
      t,
      `${head('POST', path, 'application/x-ndjson')}${lineOf({ id: 'kept', amount: 1 })}`,
      ' ',
      /408[\s\S]*line 1/,
    ),
  ])
  t.equal((await service.send('GET', '/orders/kept')).status, 200, 'what came in time is placed')
})

t.test('CSV agrees with csv-parse and csv-stringify on every table', async (t) => {
  const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', "'", '=', 'ü', ' ') })
  const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(table, fc.integer({ min: 1, max: 9 }), async (rows, size) => {
      const ours = rows.map(formatRecord).join('')
      t.strictSame(parse(ours, { relax_column_count: true, record_delimiter: '\r\n' }), rows) || t.comment(ours)
      const theirs = Buffer.from(stringify(rows, { quoted_match: /[\r\n]/ }))
      async function* chunks() {
        for (let at = 0; at < theirs.length; at += size) yield theirs.subarray(at, at + size)
      }
      const lines: Line[] = []
      for await (const group of readLines(chunks(), { quoted: true, timeout: 1000 })) lines.push(...group)
      const read = lines.map((line) => parseRecord('text' in line ? line.text : '').map((it) => it ?? ''))
      t.strictSame(read, rows) || t.comment(JSON.stringify(theirs.toString()))
    }),
    { numRuns: 300 },
  )
  fc.assert(fc.property(cell, (text) => restore(neutralise(text)) === text && !/^[=+\-@\t\r]/.test(neutralise(text))))
  t.throws(() => parseRecord('a,"b'), SyntaxError)
})

t.test('lines that need no work give other requests their turns', async (t) => {
  const chunks = 20
  async function* body() {
    for (let chunk = 0; chunk < chunks; chunk++) yield Buffer.alloc(65_536, '\n')
    yield Buffer.from('{"id":"last"}\n')
  }
  let turns = 0
  let timer = setImmediate(function turn() {
    turns++
    timer = setImmediate(turn)
  })
  let records = 0
  let last: Line | undefined
  for await (const group of readLines(body(), { quoted: false, timeout: 60_000 })) {
    records += group.length
    last = group.at(-1)
  }
  clearImmediate(timer)
  t.equal(records, 1, 'empty lines are no records')
  t.strictSame(last, { line: chunks * 65_536 + 1, text: '{"id":"last"}' }, 'and count as lines')
  t.ok(turns >= chunks, `${turns} turns in ${chunks} chunks`)
})
