import type { Order } from '@orders/schema'
import t from 'tap'
import { type Service, startService } from './service.ts'

const idsOf = (data: Order[]) => data.map(({ id }) => id)

async function placeMany({ place }: Service, count: number): Promise<void> {
  for (let at = 0; at < count; at += 50) {
    await Promise.all(
      Array.from({ length: Math.min(50, count - at) }, (_, i) => place({ id: `o${at + i}`, amount: 1 })),
    )
  }
}

t.test('pages are complete and in order while orders arrive', async (t) => {
  const service = await startService(t)
  const { send, place } = service
  await placeMany(service, 430)
  const seen: string[] = []
  const times: string[] = []
  let path = '/orders?limit=100'
  for (let page = 0; ; page++) {
    const { json, headers } = await send('GET', path)
    seen.push(...idsOf(json.data))
    times.push(...json.data.map(({ created_at }: Order) => created_at))
    t.equal((await place({ id: `late${page}`, amount: 1 })).status, 201)
    if (json.next_cursor === null) {
      t.notOk(headers.link)
      break
    }
    t.match(headers.link, /^<\/orders\?limit=100&cursor=[\w-]+>; rel="next"$/)
    path = String(headers.link).slice(1, String(headers.link).indexOf('>'))
  }
  t.equal(seen.length, 430)
  t.equal(new Set(seen).size, 430)
  t.notOk(seen.some((id) => id.startsWith('late')))
  t.same(times, [...times].sort().reverse())
})

t.test('a limit is a number from 1, and 200 at most', async (t) => {
  const service = await startService(t)
  await placeMany(service, 210)
  const count = async (query: string) => (await service.send('GET', `/orders${query}`)).json.data?.length
  t.equal(await count(''), 50)
  t.equal(await count('?limit=1'), 1)
  t.equal(await count('?limit=200'), 200)
  t.equal(await count('?limit=201'), 200)
  t.equal(await count('?limit=100000'), 200)
  for (const limit of ['0', '-1', '1.5', '1e1', '', 'x', ' 1', '0x1', '1,2', '99999999999999999999', 'true']) {
    const { json } = await service.send('GET', `/orders?limit=${encodeURIComponent(limit)}`)
    t.match(json, { error: 'VALIDATION_FAILED', errors: [{ path: '/limit' }] }, limit)
  }
  t.equal((await service.send('GET', '/orders?limit=1&limit=2')).status, 400)
  t.equal((await service.send('GET', '/orders?nope=1')).status, 400)
})

t.test('a cursor works for its own list only', async (t) => {
  const { send, place } = await startService(t)
  for (const amount of [1, 2, 3]) await place({ amount, currency: 'USD' })
  const { next_cursor: cursor } = (await send('GET', '/orders?limit=1&currency=USD')).json
  t.equal((await send('GET', `/orders?limit=2&currency=USD&cursor=${cursor}`)).json.data.length, 2)
  const bytes = Buffer.from(cursor, 'base64url')
  for (const at of [0, bytes.length - 1]) bytes[at] = (bytes[at] as number) ^ 1
  const tampered = bytes.toString('base64url')
  for (const query of [
    '',
    'currency=EUR',
    'currency=USD&status=placed',
    'currency=USD&amount_min=0',
    'currency=USD&q=a',
  ]) {
    const { json } = await send('GET', `/orders?${query}&cursor=${cursor}`)
    t.equal(json.error, 'CURSOR_INVALID', query)
  }
  for (const bad of [tampered, cursor.slice(0, -1), `${cursor}A`, 'x', '%00', '..']) {
    t.equal((await send('GET', `/orders?currency=USD&cursor=${bad}`)).json.error, 'CURSOR_INVALID', bad)
  }
})

t.test('each filter finds its orders, and two find those of both', async (t) => {
  const { send, place } = await startService(t)
  await place({ id: 'eur-1', amount: 1, description: 'Blue 50% chair' })
  const { json: middle } = await place({ id: 'usd-2', amount: 2.5, currency: 'USD', description: 'red_chair' })
  await place({ id: 'jpy-3', amount: 300, currency: 'JPY' })
  await send('POST', '/orders/usd-2/confirm')
  const find = async (query: string) => idsOf((await send('GET', `/orders?${query}`)).json.data ?? []).sort()
  t.same(await find('status=confirmed'), ['usd-2'])
  t.same(await find('currency=JPY'), ['jpy-3'])
  t.same(await find('amount_min=2.5'), ['jpy-3', 'usd-2'])
  t.same(await find('amount_max=2.5'), ['eur-1', 'usd-2'])
  t.same(await find('amount_min=1.5&amount_max=2.5&status=confirmed'), ['usd-2'])
  t.same(await find('q=CHAIR'), ['eur-1', 'usd-2'])
  t.same(await find('q=usd'), ['usd-2'])
  t.same(await find(`q=${encodeURIComponent('%')}`), ['eur-1'], 'a percent sign is one')
  t.same(await find('q=d_c'), ['usd-2'], 'so is a line below')
  t.same(await find(`created_from=${middle.created_at}&q=usd`), ['usd-2'])
  t.same(await find(`created_to=${middle.created_at}&q=usd`), [])
  t.same(await find('created_from=2999-01-01T00:00:00Z'), [])
  t.same(await find('project_id=00000000-0000-7000-8000-000000000000'), [])
  const bad = [
    'status=x',
    'currency=eur',
    'amount_min=x',
    'amount_max=-1',
    'project_id=x',
    'q=',
    'q=%00',
    `q=${'x'.repeat(101)}`,
  ]
  const noTimes = ['2020', '2020-02-30T00:00:00Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59-23:00']
  for (const query of [
    ...bad,
    ...noTimes.map((time) => `created_from=${time}`),
    ...noTimes.map((time) => `created_to=${time}`),
  ]) {
    t.match(await send('GET', `/orders?${query}`), { status: 400, json: { error: 'VALIDATION_FAILED' } }, query)
  }
})

t.test('stats add up exactly, in a bounded range', async (t) => {
  const { send, place } = await startService(t)
  for (const amount of [0.1, 0.2, 9999999999999.99, 9999999999999.99]) await place({ amount })
  await place({ amount: 5, currency: 'JPY' })
  const { json } = await send('GET', '/orders/stats')
  const found = json.data.map(({ currency, status, count, sum }: Record<string, unknown>) => [
    currency,
    status,
    count,
    sum,
  ])
  t.same(found, [
    ['EUR', 'placed', 4, '20000000000000.28'],
    ['JPY', 'placed', 1, '5'],
  ])
  const refused = [
    'from=2020-01-01T00:00:00Z',
    'to=0001-01-01T00:00:00Z',
    'from=x',
    'from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z',
  ]
  for (const query of refused)
    t.match(await send('GET', `/orders/stats?${query}`), { status: 400, json: { error: 'VALIDATION_FAILED' } }, query)
})
