import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { readOperations } from './bad-input/document.ts'
import { startService } from './service.ts'
import { openBrowser } from './ui/browser.ts'

const days = ['0001-01-01', '0001-01-02', '1969-12-31', '1970-01-01', '9999-12-30', '9999-12-31']
const times = [
  '0001-01-01T00:00:00Z',
  '0001-01-01T00:00:00.001Z',
  '0001-01-01T00:00:00+23:59',
  '0001-01-20T00:00:00Z',
  '0002-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '9999-12-31T23:59:59.9999999Z',
  '9999-12-31T23:59:59-23:59',
]
const numbers = [0, -0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 999_999_999_999_999, -1, 2 ** 53, 2 ** 63, 2 ** 64]
const digits = [...numbers.map(String), '-0', '0.000000000000001', '999999999999999.999999999999999', '00000000000001']

t.test('the filter of the list takes a day at either end of the calendar', async (t) => {
  const browser = await openBrowser(t)
  await browser.submit((await browser.get('/ui/place-order')).page.form('Place order'), { Amount: '1' })
  const rowsUnder = async (query: Record<string, string>) => {
    const { statusCode, page } = await browser.get(`/?${new URLSearchParams(query)}`)
    return { statusCode, rows: page.rows().length }
  }
  for (const day of days) {
    const isLater = day.startsWith('9999')
    t.same(await rowsUnder({ created_to: day }), { statusCode: 200, rows: isLater ? 1 : 0 }, `created_to ${day}`)
    t.same(await rowsUnder({ created_from: day }), { statusCode: 200, rows: isLater ? 0 : 1 }, `created_from ${day}`)
    t.same(await rowsUnder({ created_from: day, created_to: day }), { statusCode: 200, rows: 0 }, `only ${day}`)
  }
  for (const day of ['0000-01-01', '0000-12-31', '10000-01-01', '+010000-01-01', '9999-12-32', '-0001-01-01']) {
    t.match(await rowsUnder({ created_to: day }), { statusCode: 400 }, `created_to ${day}`)
  }
})

t.test('no number or cursor at the end of its range makes a page fail', async (t) => {
  const browser = await openBrowser(t)
  const placed = await browser.submit((await browser.get('/ui/place-order')).page.form('Place order'), { Amount: '1' })
  const order = String(placed.headers.location).split('?')[0]
  const cursors = ['A', 'A'.repeat(4000), '\0']
  const addresses = [
    ...digits.flatMap((value) => ['/?amount_max=', `${order}?after=`].map((at) => at + value)),
    ...cursors.flatMap((value) => ['/?cursor=', '/ui/webhooks?cursor='].map((at) => at + encodeURIComponent(value))),
  ]
  for (const address of addresses) {
    const { statusCode } = await browser.get(address)
    if (statusCode !== 200 && statusCode !== 400) t.fail(`${address.slice(0, 80)}: ${statusCode}`)
  }
  for (const Amount of ['0', '999999999999999', '9999999999999.99', '99999999999999.9', '0.01', '0.001', '1e15']) {
    const { statusCode } = await browser.submit((await browser.get('/ui/place-order')).page.form('Place order'), {
      Amount,
    })
    if (statusCode !== 303 && statusCode !== 400) t.fail(`amount ${Amount}: ${statusCode}`)
  }
})

t.test('no time, number or cursor at the end of its range makes a request fail', async (t) => {
  const service = await startService(t, { GUEST_KEYS: await newGuestKeys('test-key'), AUTH_MODE: 'required' })
  const { json: guest } = await service.send('POST', '/api/v1/auth/guest')
  const send = (method: string, path: string, { headers, body }: { headers?: object; body?: object } = {}) =>
    service.send(method, path, {
      headers: { authorization: `Bearer ${guest.access_token}`, ...headers },
      ...(body && { body }),
    })
  const place = (body: object) => send('POST', '/api/v1/orders', { body })
  await place({ id: 'known', amount: 1 })
  const operations = (await readOperations()).filter(
    ({ method, path }) => method === 'GET' && !path.includes('{id}/de'),
  )
  const fill = (path: string) => path.replace(/(?<=orgs\/)\{\w+\}/, guest.org.id).replace('{id}', 'known')
  const tried = new Set<string>()
  for (const { path, parameters } of operations) {
    const query = parameters.filter((it) => it.in === 'query')
    const required = query
      .filter((it) => it.required)
      .map((it): [string, string] => [it.name, it.schema.enum?.[0] ?? '1'])
    for (const { name, schema } of query) {
      const isNumber = schema.type === 'integer' || schema.type === 'number'
      const values = isNumber
        ? digits
        : schema.format === 'date-time'
          ? times
          : name === 'cursor'
            ? ['A', 'A'.repeat(400)]
            : []
      for (const value of values) {
        const address = `${fill(path)}?${new URLSearchParams([...required, [name, value]])}`
        const { status, json } = await send('GET', address)
        tried.add(`${name}: ${status}`)
        const isClear = status === 200 || json?.errors?.[0]?.path === `/${name}`
        if (!isClear && json?.error !== 'CURSOR_INVALID') t.fail(`${address}: ${status}`, json)
      }
    }
  }
  for (const expected of [
    'created_to: 200',
    'created_to: 400',
    'amount_max: 200',
    'limit: 200',
    'after: 200',
    'to: 200',
  ]) {
    t.ok(tried.has(expected), expected)
  }
  for (const id of digits.filter((it) => Number(it) > 1)) {
    const { status } = await send('GET', '/orders/stream', { headers: { 'last-event-id': id } })
    if (status !== 410 && status !== 400) t.fail(`Last-Event-ID ${id}: ${status}`)
  }
  for (const amount of [...numbers, 0.01, 99_999_999_999_999.9, 1e-15, 1e300]) {
    const { status } = await place({ amount })
    if (status !== 201 && status !== 400) t.fail(`amount ${amount}: ${status}`)
  }
})
