import { randomUUID } from 'node:crypto'
import t from 'tap'
import { startService } from './service.ts'

const { send, place } = await startService(t)
const raw = (body: string) => send('POST', '/orders', { body, headers: { 'content-type': 'application/json' } })

t.test('the older services’ calls work, word for word', async (t) => {
  const body = '{"id":"ci-test-1","amount":123.45}'
  const placed = await raw(body)
  t.equal(placed.status, 201)
  const order = { id: 'ci-test-1', amount: 123.45, currency: 'EUR', status: 'placed', version: 1, project_id: null }
  t.match(placed.json, order)
  t.match(placed.headers, { location: '/api/v1/orders/ci-test-1', etag: '"1"' })
  const again = await raw(body)
  t.equal(again.status, 200)
  t.same(again.json, placed.json)
  t.same((await send('GET', '/orders')).json, { data: [placed.json], next_cursor: null })
  t.match((await send('GET', '/orders/ci-test-1')).text, /"amount":123\.45[,}]/)
  t.same(await send('GET', String(placed.headers.location)).then(({ json }) => json), placed.json)
  t.match(await raw('{"id":"ci-test-1","amount":123.46}'), { status: 409, json: { error: 'ORDER_ID_TAKEN' } })
  t.match(placed.json.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

t.test('money is kept to the last digit or refused', async (t) => {
  const kept: [amount: string, currency: string, stored: string][] = [
    ['0.01', 'EUR', '0.01'],
    ['9999999999999.99', 'EUR', '9999999999999.99'],
    ['999999999999999', 'JPY', '999999999999999'],
    ['1.234', 'KWD', '1.234'],
    ['1.2345', 'CLF', '1.2345'],
    ['12345e-2', 'EUR', '123.45'],
    ['1E+2', 'EUR', '100'],
    ['1.10', 'EUR', '1.1'],
    ['1.0', 'JPY', '1'],
    ['0.3', 'EUR', '0.3'],
  ]
  for (const [amount, currency, stored] of kept) {
    const { status, json } = await raw(`{"amount":${amount},"currency":"${currency}"}`)
    t.equal(status, 201, `${amount} ${currency}`)
    t.match((await send('GET', `/orders/${json.id}`)).text, `"amount":${stored},`)
  }
  const refused: [amount: string, currency: string][] = [
    ...['0', '-0', '-1', '0.001', '1.005', '1e15', '1e21', '1e400', '1e-400', '5e-324', '9007199254740993'].map(
      (amount): [string, string] => [amount, 'EUR'],
    ),
    ...['0.30000000000000004', '1000000000000000', '99999999999999.999'].map((amount): [string, string] => [
      amount,
      'EUR',
    ]),
    ['1.5', 'JPY'],
    ['1.2345', 'KWD'],
    ['1.23456', 'CLF'],
  ]
  for (const [amount, currency] of refused) {
    const answer = await raw(`{"amount":${amount},"currency":"${currency}"}`)
    t.match(
      answer,
      { status: 400, json: { error: 'AMOUNT_INVALID', errors: [{ path: '/amount' }] } },
      `${amount} ${currency}`,
    )
  }
  for (const amount of ['"12"', 'true', '[5]', 'null', '{}']) {
    const { json } = await raw(`{"amount":${amount}}`)
    t.match(json, { error: 'VALIDATION_FAILED', errors: [{ path: '/amount' }] }, amount)
  }
})

t.test('an order is read again only if it changed, and edited only by who knows it', async (t) => {
  const {
    headers,
    json: { id },
  } = await place({ amount: 1 })
  const get = (tag: string) => send('GET', `/orders/${id}`, { headers: { 'if-none-match': tag } })
  for (const tag of ['"1"', 'W/"1"', '*', '"0", "1"']) {
    const { status, text, headers } = await get(tag)
    t.same({ status, text, etag: headers.etag }, { status: 304, text: '', etag: '"1"' }, tag)
  }
  for (const tag of ['"2"', '1', '', '"']) t.equal((await get(tag)).status, 200, tag)

  const patch = (body: object, tag?: string) =>
    send('PATCH', `/orders/${id}`, { body, headers: tag === undefined ? {} : { 'if-match': tag } })
  t.match(await patch({ description: 'x' }), { status: 428, json: { error: 'PRECONDITION_REQUIRED' } })
  for (const tag of ['"2"', 'W/"1"', '1', ''])
    t.match(await patch({ description: 'x' }, tag), { status: 412, json: { error: 'PRECONDITION_FAILED' } })
  t.match(await patch({ description: 'x' }, String(headers.etag)), {
    status: 200,
    headers: { etag: '"2"' },
    json: { version: 2, description: 'x' },
  })
  t.equal((await patch({ description: 'y' }, String(headers.etag))).status, 412)
  t.match((await patch({ metadata: { a: 'b' } }, '*')).json, { description: 'x', metadata: { a: 'b' }, version: 3 })
  t.match((await patch({ description: null }, '"3"')).json, { description: null, version: 4 })
  for (const body of [{}, { amount: 2 }, { status: 'completed' }, { id: 'z' }])
    t.equal((await patch(body, '*')).json.error, 'VALIDATION_FAILED')
  t.equal(
    (await send('PATCH', '/orders/none', { body: { description: 'x' }, headers: { 'if-match': '*' } })).json.error,
    'ORDER_NOT_FOUND',
  )
  const both = await Promise.all(['a', 'b'].map((description) => patch({ description }, '"4"')))
  t.same(both.map(({ status }) => status).sort(), [200, 412])
})

t.test('verbs move an order on, once, and its history tells of it', async (t) => {
  const {
    json: { id },
  } = await place({ amount: 1 })
  const act = (verb: string, at = id) => send('POST', `/orders/${at}/${verb}`)
  t.match(await act('complete'), { status: 409, json: { error: 'ILLEGAL_TRANSITION' } })
  t.match(await act('confirm'), { status: 200, headers: { etag: '"2"' }, json: { status: 'confirmed' } })
  t.match(await act('confirm'), { status: 200, headers: { etag: '"2"' } }, 'the same again changes nothing')
  t.match(await act('complete'), { status: 200, json: { status: 'completed', version: 3 } })
  for (const verb of ['confirm', 'cancel']) t.equal((await act(verb)).json.error, 'ILLEGAL_TRANSITION', verb)
  t.equal((await act('confirm', 'none')).json.error, 'ORDER_NOT_FOUND')
  const { data } = (await send('GET', `/orders/${id}/events`)).json
  t.same(
    data.map(({ type, sequence }: { type: string; sequence: number }) => `${sequence} ${type}`),
    ['1 orders.order.placed.v1', '2 orders.order.confirmed.v1', '3 orders.order.completed.v1'],
  )
  t.match(data[2].data, { id, status: 'completed', amount: 1 })
  t.equal((await send('GET', `/orders/${id}/events?after=1&limit=1`)).json.data[0].sequence, 2)
  for (const body of ['[]', 'null', '{"a":1}', '1']) {
    const answer = await send('POST', `/orders/${id}/cancel`, { body, headers: { 'content-type': 'application/json' } })
    t.equal(answer.json.error, 'VALIDATION_FAILED', body)
  }
})

t.test('an Idempotency-Key replays the first answer byte for byte, and stands for one body only', async (t) => {
  const key = randomUUID()
  const headers = { 'idempotency-key': key }
  const first = await place({ amount: 7 }, headers)
  const second = await place({ amount: 7 }, headers)
  t.same([first.status, second.status], [201, 201])
  t.equal(second.text, first.text)
  t.same([first.headers['idempotency-replayed'], second.headers['idempotency-replayed']], [undefined, 'true'])
  for (const name of ['location', 'etag', 'content-type']) t.equal(second.headers[name], first.headers[name], name)
  t.match(await place({ amount: 8 }, headers), { status: 422, json: { error: 'IDEMPOTENCY_MISMATCH' } })
  t.equal(
    (await send('POST', '/orders', { body: { amount: 7 }, headers })).text,
    first.text,
    'the alias is the same route',
  )
  for (const bad of ['short', 'x'.repeat(256), 'a b c d e f g h i j k', 'ä'.repeat(20), '']) {
    t.match(await place({ amount: 1 }, { 'idempotency-key': bad }), {
      status: 400,
      json: { error: 'IDEMPOTENCY_KEY_INVALID' },
    })
  }
  const other = { 'idempotency-key': randomUUID() }
  t.equal((await place({ amount: 0 }, other)).status, 400)
  t.equal((await place({ amount: 1 }, other)).status, 201, 'a refusal uses no key up')
  const many = await Promise.all(
    Array.from({ length: 20 }, () => place({ amount: 3 }, { 'idempotency-key': `${key}-many` })),
  )
  const placed = many.filter(({ status }) => status === 201)
  t.ok(placed.length > 0 && many.every(({ status }) => status === 201 || status === 409))
  t.equal(new Set(placed.map(({ text }) => text)).size, 1)
})
