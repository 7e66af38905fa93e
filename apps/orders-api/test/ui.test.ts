import t from 'tap'
import { inputValue, openBrowser } from './ui/browser.ts'

const place = { Amount: '1234.5', Currency: 'EUR', Description: 'Desk lamps' }

t.test('an order is placed, seen, filtered, edited, moved on and cancelled, without a script', async (t) => {
  const { get, submit } = await openBrowser(t)
  const empty = await get('/')
  t.equal(empty.statusCode, 200)
  t.match(empty.body, 'There are no orders yet.')
  t.match(empty.page.text('.totals'), 'No orders in the last 30 days.')

  const placed = await submit(empty.page.form('Place order'), { ...place, 'Your own id': 'lamp-1' })
  t.equal(placed.statusCode, 303)
  t.equal(placed.headers.location, '/ui/orders/lamp-1?done=placed')

  const order = await get(String(placed.headers.location))
  t.equal(order.page.status(), 'The order is placed.')
  t.equal(order.page.heading(), 'Order lamp-1')
  t.match(order.page.text('.amount-large'), 'EUR 1,234.50 placed')
  t.match(order.page.text('.history'), /^Placed/)

  const edit = await submit(order.page.form('Save'), { 'Change the description': 'Desk lamps, 30 pieces' })
  const edited = await get(String(edit.headers.location))
  t.match(edited.page.text('.facts'), 'Desk lamps, 30 pieces')
  t.match(edited.page.text('.history'), 'Edited')

  const confirmed = await get(String((await submit(edited.page.form('Confirm order'))).headers.location))
  t.match(confirmed.page.text('.amount-large'), 'confirmed')
  t.notOk(confirmed.page.button('Confirm order'))
  t.ok(confirmed.page.button('Complete order'))

  const cancelled = await get(String((await submit(confirmed.page.form('Yes, cancel it'))).headers.location))
  t.match(cancelled.page.text('.amount-large'), 'cancelled')
  t.equal(cancelled.page.all('main form').length, 1, 'only the description may still change')

  const late = await submit(confirmed.page.form('Complete order'))
  t.equal(late.statusCode, 409)
  t.equal(late.page.alert(), 'An order that is cancelled cannot become completed.')
  t.equal(late.page.heading(), 'Order lamp-1')

  const stale = await submit(order.page.form('Save'), { 'Change the description': 'Mine' })
  t.equal(stale.statusCode, 412)
  t.match(stale.page.alert(), 'The order has changed since you opened it.')
  t.equal(inputValue(stale.page.field('Change the description')), 'Mine')
  t.equal((await submit(stale.page.form('Save'))).statusCode, 303, 'and can be saved over what is shown now')
})

t.test('a form places one order, however often it is sent', async (t) => {
  const { get, submit } = await openBrowser(t)
  const { page } = await get('/ui/place-order')
  const form = page.form('Place order')
  const answers = await Promise.all(Array.from({ length: 8 }, () => submit(form, place)))
  const locations = new Set(
    answers.filter(({ statusCode }) => statusCode === 303).map(({ headers }) => headers.location),
  )
  t.equal(locations.size, 1)
  t.ok(answers.every(({ statusCode }) => statusCode === 303 || statusCode === 409))
  t.equal((await submit(form, place)).headers.location, [...locations][0])
  t.equal((await get('/')).page.rows().length, 1)

  const changed = await submit(form, { ...place, Amount: '7' })
  t.equal(changed.statusCode, 422)
  t.match(changed.page.alert(), 'This form has placed an order before.')
  t.equal((await submit(changed.page.form('Place order'))).statusCode, 303, 'a second order must be meant')
  t.equal((await get('/')).page.rows().length, 2)
})

t.test('faults stand at their fields, and what was typed stays', async (t) => {
  const { get, post, submit } = await openBrowser(t)
  const { page } = await get('/')
  const form = page.form('Place order')
  await submit(form, { ...place, 'Your own id': 'taken' })
  const cases: [string, Record<string, string>, string, number][] = [
    ['Amount', { Amount: '' }, 'Enter an amount, such as 12.50.', 400],
    ['Amount', { Amount: '1,50' }, 'Write the amount in digits with a point, such as 1234.50.', 400],
    ['Amount', { Amount: '-1' }, 'Write the amount in digits with a point, such as 1234.50.', 400],
    ['Amount', { Amount: '0x10' }, 'Write the amount in digits with a point, such as 1234.50.', 400],
    ['Amount', { Amount: '0' }, 'The amount must be greater than 0.', 400],
    ['Amount', { Amount: '1.234' }, 'An amount in EUR has at most 2 decimals.', 400],
    ['Amount', { Amount: '12345678901234567' }, 'Use at most 15 digits.', 400],
    ['Amount', { Amount: '1.5', Currency: 'JPY' }, 'An amount in JPY has at most 0 decimals.', 400],
    ['Currency', { Currency: 'ZZZ' }, 'Choose a currency.', 400],
    ['Description', { Description: 'x'.repeat(2001) }, 'Use at most 2000 characters; these are 2001.', 400],
    ['Description', { Description: 'a\0b' }, 'Use no control characters, such as line breaks.', 400],
    ['Your own id', { 'Your own id': '-x' }, 'Use up to 64 letters', 400],
    ['Your own id', { 'Your own id': 'taken', Amount: '2' }, 'Another order has this id', 409],
  ]
  for (const [label, filled, message, status] of cases) {
    // The key of the first form is used up by its order.
    const fresh = (await get('/ui/place-order')).page.form('Place order')
    const answer = await submit(fresh, { ...place, ...filled })
    t.equal(answer.statusCode, status, `${label}: ${JSON.stringify(filled).slice(0, 60)}`)
    t.match(answer.page.description(label), message)
    t.equal(answer.page.field(label).getAttribute('aria-invalid'), 'true')
    t.match(answer.page.alert(), message)
    t.ok(answer.page.link(label)?.startsWith('#place-'), 'the summary leads to the field')
    const kept = filled.Description ?? place.Description
    if (!kept.includes('\0')) t.equal(inputValue(answer.page.field('Description')), kept)
  }
  t.equal((await get('/')).page.rows().length, 1)

  const token = page.document.querySelector('[name="_csrf"]')?.getAttribute('value') ?? ''
  const keyless = await post('/ui/orders', { _csrf: token, amount: '1', currency: 'EUR' })
  t.equal(keyless.statusCode, 400)
  t.match(keyless.page.alert(), 'The form has lost its key')
  t.equal((await submit(keyless.page.form('Place order'))).statusCode, 303)
})

t.test('the list is filtered by every field and paged in its order', async (t) => {
  const { get, server, submit } = await openBrowser(t)
  for (let n = 1; n <= 30; n++) {
    const order = {
      id: `o-${n}`,
      amount: n,
      currency: n % 2 ? 'EUR' : 'JPY',
      description: n % 3 ? 'Coffee' : '100% _tea_',
    }
    await server.inject({ method: 'POST', url: '/orders', payload: order })
  }
  await server.inject({ method: 'POST', url: '/api/v1/orders/o-7/confirm' })
  const names = async (url: string) => (await get(url)).page.rows().map(([what]) => what?.split(' ').at(-1))

  const first = await get('/')
  t.equal(first.page.rows().length, 25)
  t.equal(first.page.rows()[0]?.at(-1), 'JPY 30')
  const second = await get(first.page.link('Older orders') ?? '')
  t.same(
    second.page.rows().map(([what]) => what?.split(' ').at(-1)),
    ['o-5', 'o-4', 'o-3', 'o-2', 'o-1'],
  )
  t.notOk(second.page.link('Older orders'))
  t.equal(second.page.link('Back to the first page'), '/')

  const today = new Date().toISOString().slice(0, 10)
  t.same(await names('/?status=confirmed'), ['o-7'])
  t.same(await names('/?amount_min=29'), ['o-30', 'o-29'])
  t.same(await names('/?amount_max=2&currency=jpy'), ['o-2'])
  t.same(await names('/?q=o-30'), ['o-30'])
  t.same(await names('/?q=0%25+_t&amount_max=3'), ['o-3'], 'wildcards of SQL are plain text')
  t.equal((await names(`/?created_from=${today}&created_to=${today}`)).length, 25, 'the last day counts as a whole')
  t.same(await names(`/?created_to=2020-01-01`), [])
  t.match((await get('/?status=cancelled')).body, 'No order is like that.')

  const filtered = await submit(first.page.form('Filter'), { Currency: 'eur', Status: 'placed' })
  t.equal(inputValue(filtered.page.field('Status')), 'placed', 'the form shows its filter')
  t.ok(filtered.page.rows().every((row) => row[3]?.startsWith('EUR')))
  const next = (await get('/?currency=EUR&q=o')).page.link('Older orders')
  t.notOk(next, '15 orders fit on a page')
  const paged = (await get('/?amount_min=1')).page.link('Older orders') ?? ''
  t.match(paged, /amount_min=1&cursor=/)
  t.equal((await get(paged.replace('amount_min=1', 'amount_min=2'))).statusCode, 400, 'a cursor keeps to its filter')

  for (const [query, label] of [
    ['amount_min=1e3', 'Least amount'],
    ['amount_max=-1', 'Highest amount'],
    ['created_from=2026-02-30', 'Placed from'],
    ['created_to=0000-01-01', 'Placed to'],
    ['currency=ZZZ', 'Currency'],
    ['status=gone', 'Status'],
    [`q=${'x'.repeat(101)}`, 'Search'],
    ['q=a%00b', 'Search'],
  ] as const) {
    const refused = await get(`/?${query}`)
    t.equal(refused.statusCode, 400, query)
    t.equal(
      refused.page.form('Filter').querySelector('[aria-invalid]')?.id,
      refused.page.form('Filter').querySelector(`[name="${query.split('=')[0]}"]`)?.id,
    )
    t.ok(refused.page.link(label), 'the summary leads to the field')
  }
})

t.test('values of an order are text, whatever they look like', async (t) => {
  const { get, server, submit } = await openBrowser(t)
  const hostile = `</td></title><script>alert(1)</script><img src=x onerror=alert(1)> " ' \` <%= 1 %> {{1}} &lt;b&gt; \u202e`
  const order = { id: 'hostile', amount: 5, description: hostile, metadata: { [hostile.slice(0, 60)]: hostile } }
  t.equal((await server.inject({ method: 'POST', url: '/orders', payload: order })).statusCode, 201)
  await server.inject({
    method: 'PATCH',
    url: '/orders/hostile',
    headers: { 'if-match': '*' },
    payload: { description: `${hostile}!` },
  })
  const one = await get('/ui/orders/hostile')
  const pages = [
    await get('/'),
    one,
    await get(`/?${new URLSearchParams({ q: hostile.slice(0, 90) })}`),
    await get(
      `/?${new URLSearchParams({ currency: hostile, status: hostile, amount_min: hostile, created_from: hostile })}`,
    ),
    await get(`/ui/orders/${encodeURIComponent('<img src=x>')}`),
    await get(`/ui/orders/hostile?done=${encodeURIComponent(hostile)}&after=${encodeURIComponent(hostile)}`),
    await get(`/errors/${encodeURIComponent('<img src=x>')}`),
    await get(`/nowhere/${encodeURIComponent('<img src=x>')}`),
    await submit((await get('/')).page.form('Place order'), {
      Amount: hostile,
      'Your own id': hostile,
      Description: hostile,
    }),
  ]
  for (const { page, body } of pages) {
    t.equal(page.all('script:not([src^="/assets/live.js?"]), [onerror], img:not([src^="/assets/"])').length, 0)
    t.notMatch(body, /<script(?! type="module" src="\/assets\/live\.js\?)|<img src=x/)
  }
  const flat = (text: string) => text.replace(/\s+/g, ' ').trim()
  t.match(one.page.text('.facts'), flat(`${hostile}!`))
  t.match(one.page.text('.facts'), flat(hostile))
  t.equal(inputValue(one.page.field('Change the description')), `${hostile}!`)
  t.match(one.page.text('.history'), flat(`${hostile}!`))
  t.match(pages[0]?.page.rows()[0]?.[0], flat(`${hostile}!`))
})
