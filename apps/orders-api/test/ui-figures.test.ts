import { currencyDecimals, type OrderStats } from '@orders/schema'
import t from 'tap'
import { readFilter } from '../src/ui/filter-form.ts'
import { fromUnits, money, toUnits } from '../src/ui/money.ts'
import { sharing, within } from '../src/ui/shared-work.ts'
import { timeOf } from '../src/ui/time.ts'
import { totalsOf, totalsRange } from '../src/ui/totals.ts'

const plain = (text: string) => text.replaceAll('\u00a0', ' ')

t.test('amounts keep every digit, in the way of their currency', async (t) => {
  t.equal(plain(money('1234.5', 'EUR')), 'EUR 1,234.50')
  t.equal(plain(money('1234', 'JPY')), 'JPY 1,234')
  t.equal(plain(money('9999999999999999999999.99', 'EUR')), 'EUR 9,999,999,999,999,999,999,999.99')
  t.equal(plain(money('0.001', 'IQD')), 'IQD 0.001', 'which Intl by itself would show as 0')
  for (const [code, decimals] of currencyDecimals) {
    const amount = `12345678901${decimals ? `.${'1234'.slice(0, decimals)}` : ''}`
    t.equal(plain(money(amount, code)), `${code} 12,345,678,901${amount.slice(11)}`)
  }
  for (const amount of ['0.0001', '1.0000', '123456789012345678901234567890.1234']) {
    t.equal(fromUnits(toUnits(amount)), amount)
  }
})

t.test('totals are exact, one currency to a chart', async (t) => {
  const { from, to } = totalsRange(new Date('2026-03-01T23:59:59.999Z'))
  t.same({ from, to }, { from: '2026-01-31T00:00:00.000Z', to: '2026-03-02T00:00:00.000Z' })
  const row = (day: string, currency: string, sum: string, status = 'placed', count = 1) =>
    ({ day, currency, status, count, sum }) as OrderStats['data'][number]
  const stats = [
    row('2026-02-01', 'EUR', '9007199254740993.01'),
    row('2026-02-01', 'EUR', '0.10', 'confirmed', 2),
    row('2026-02-01', 'EUR', '77', 'cancelled', 9),
    row('2026-03-01', 'EUR', '0.20'),
    row('2026-03-01', 'JPY', '500'),
  ]
  const totals = totalsOf(stats, from, undefined)
  if (!totals) throw new Error('no totals')
  t.equal(plain(totals.main.sum), 'EUR 9,007,199,254,740,993.31')
  t.equal(totals.main.orders, '4 orders')
  t.match(totals.currencies, [{ currency: 'JPY', orders: '1 order' }])
  t.equal(totals.days.length, 30)
  t.equal(totals.days[1]?.bar.height, 100)
  t.equal(totals.days[2]?.bar.height, 0)
  t.ok((totals.days[29]?.bar.height ?? 0) > 0, 'however little, a day with an order shows')
  t.equal(totals.peak?.text, '1 Feb')
  t.same(totals.ticks, ['8 Feb', '15 Feb', '22 Feb', '1 Mar'])
  t.same(
    totals.busyDays.map(({ day }) => day),
    ['2026-03-01', '2026-02-01'],
  )
  t.equal(totalsOf(stats, from, 'JPY')?.main.currency, 'JPY')
  t.equal(totalsOf(stats, from, 'USD')?.main.currency, 'EUR', 'a currency nobody used has no chart')
  t.equal(totalsOf([], from, 'EUR'), undefined)
})

t.test('days of the filter are whole days in UTC', async (t) => {
  const { filter, errors } = readFilter({ created_from: '2026-02-28', created_to: '2026-02-28', q: ' a ', status: '' })
  t.same(errors, {})
  t.same(filter, { q: 'a', created_from: '2026-02-28T00:00:00.000Z', created_to: '2026-03-01T00:00:00.000Z' })
  t.same(readFilter({ status: ['placed', 'confirmed'] }).filter, {}, 'a field that stands twice says nothing')
  t.equal(timeOf('2026-11-21T01:02:03.004Z').text, '21 Nov 2026, 01:02')
})

t.test('costly work is shared for ten times as long as it took', async (t) => {
  let time = 0
  const runs: { key: string; end: PromiseWithResolvers<string> }[] = []
  const work = (key: string) => {
    const end = Promise.withResolvers<string>()
    runs.push({ key, end })
    return end.promise
  }
  const shared = sharing(work, () => time)
  const first = [shared('a'), shared('a'), shared('b')]
  t.same(
    runs.map(({ key }) => key),
    ['a', 'b'],
  )
  time = 4
  runs[0]?.end.resolve('first')
  t.equal(await first[0], 'first')
  t.equal(await first[1], 'first')
  time = 43
  t.equal(await shared('a'), 'first')
  time = 44
  const second = shared('a')
  t.equal(runs.length, 3)
  time = 45
  runs[2]?.end.reject(new Error('no'))
  await t.rejects(second, { message: 'no' })
  time = 54
  await t.rejects(shared('a'), { message: 'no' })
  time = 55
  const third = shared('a')
  runs[3]?.end.resolve('third')
  t.equal(await third, 'third', 'a failure is forgotten')
  for (let n = 0; n < 1001; n++) void shared(`key ${n}`)
  void shared('a')
  t.equal(runs.at(-1)?.key, 'a', 'what was not asked for lately is dropped')
})

t.test('what takes long is not waited for', async (t) => {
  t.equal(await within(60_000, Promise.resolve('now'), 'late'), 'now')
  t.equal(await within(1, Promise.withResolvers<string>().promise, 'late'), 'late')
  await t.rejects(within(60_000, Promise.reject(new Error('no')), 'late'), { message: 'no' })
})
