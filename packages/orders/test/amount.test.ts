import { currencyCodes, currencyDecimals } from '@orders/schema'
import fc from 'fast-check'
import t from 'tap'
import { amountText } from '../src/amount.ts'
import type { OrdersError } from '../src/errors.ts'
import { outcomeOf, rowsOf, startOrders } from './service.ts'

const textOf = (amount: number, currency: string) => {
  try {
    return amountText(amount, currency)
  } catch (error) {
    return (error as { code: string }).code
  }
}

const pathsOf = (amount: number, currency: string) => {
  try {
    return amountText(amount, currency)
  } catch (error) {
    return (error as OrdersError).faults?.map(({ path }) => path)
  }
}

t.test('the exact decimal text of an amount, or a refusal', async (t) => {
  for (const [amount, currency, expected] of [
    [123.45, 'EUR', '123.45'],
    [0.1, 'EUR', '0.1'],
    [0.01, 'EUR', '0.01'],
    [100, 'JPY', '100'],
    [1.001, 'KWD', '1.001'],
    [0.0001, 'CLF', '0.0001'],
    [999_999_999_999_999, 'JPY', '999999999999999'],
    [9_999_999_999_999.99, 'EUR', '9999999999999.99'],
  ] as const) {
    t.equal(textOf(amount, currency), expected)
  }
  for (const [amount, currency] of [
    [0, 'EUR'],
    [-0, 'EUR'],
    [-1, 'EUR'],
    [Number.NaN, 'EUR'],
    [Number.POSITIVE_INFINITY, 'EUR'],
    [0.001, 'EUR'],
    [0.1 + 0.2, 'EUR'],
    [1.5, 'JPY'],
    [0.00001, 'CLF'],
    [1e-7, 'CLF'],
    [1e15, 'JPY'],
    [1e21, 'JPY'],
    [2 ** 53 + 2, 'JPY'],
    [99_999_999_999_999.98, 'EUR'],
    [1, 'XXX'],
    [1, 'eur'],
  ] as const) {
    t.equal(textOf(amount, currency), 'AMOUNT_INVALID', `${amount} ${currency}`)
  }
  t.strictSame(pathsOf(1, 'DEM'), ['/currency'])
  t.strictSame(pathsOf(0, 'EUR'), ['/amount'])
})

/** Amounts of every size, with up to six decimals. */
const amounts = fc
  .tuple(fc.bigInt({ min: 1n, max: 10n ** 17n }), fc.integer({ min: 1, max: 17 }), fc.integer({ min: 0, max: 6 }))
  .map(([number, digits, decimals]) => Number(`${number.toString().slice(0, digits)}e-${decimals}`))
const samples = fc.sample(
  fc.tuple(fc.oneof(amounts, fc.double({ noNaN: true })), fc.constantFrom(...currencyCodes)),
  60_000,
)

t.test('every accepted amount goes through PostgreSQL and JSON unchanged', async (t) => {
  const { admin } = await startOrders(t)
  const accepted = samples
    .map(([amount, currency]) => ({ amount, currency, text: textOf(amount, currency) }))
    .filter(({ text }) => text !== 'AMOUNT_INVALID')
  t.ok(accepted.length > 10_000, `${accepted.length} of ${samples.length} amounts`)
  const [found] = await rowsOf(
    admin,
    'SELECT array_agg(amount::text ORDER BY n) AS texts, json_agg(amount ORDER BY n)::text AS json FROM unnest($1::numeric[]) WITH ORDINALITY AS a (amount, n)',
    [accepted.map(({ text }) => text)],
  )
  const json: number[] = JSON.parse(found.json)
  const changed = accepted.filter(
    ({ amount, text }, i) => found.texts[i] !== text || Number(found.texts[i]) !== amount || json[i] !== amount,
  )
  t.strictSame(changed, [])
})

t.test("the table's own check agrees, for every currency", async (t) => {
  const { admin } = await startOrders(t)
  const [{ check }] = await rowsOf(
    admin,
    "SELECT pg_get_expr(conbin, conrelid) AS check FROM pg_constraint WHERE conname = 'orders_amount_check'",
  )
  const accepts = async (pairs: (readonly [text: string, currency: string])[]) => {
    const rows = await rowsOf(
      admin,
      `SELECT (${check}) AS ok FROM unnest($1::numeric[], $2::text[]) WITH ORDINALITY AS orders (amount, currency, n) ORDER BY n`,
      [pairs.map(([text]) => text), pairs.map(([, currency]) => currency)],
    )
    return rows.map(({ ok }) => ok === true)
  }
  const edges = currencyCodes.flatMap((currency) =>
    ['1', '0', '-1', '0.1', '0.01', '0.001', '0.0001', '0.00001', '1.5', '1.50', '999999999999999', '1e15'].map(
      (text) => [text, currency] as const,
    ),
  )
  const verdicts = await accepts(edges)
  const disagreements = edges.filter(([text, currency], i) => {
    const decimals = text.split('.')[1]?.length ?? 0
    // The scale counts zeros that a number in JSON does not have.
    const expected =
      textOf(Number(text), currency) !== 'AMOUNT_INVALID' && decimals <= (currencyDecimals.get(currency) ?? 0)
    return verdicts[i] !== expected
  })
  t.strictSame(disagreements, [])
  t.equal(verdicts.filter(Boolean).length > currencyCodes.length, true)

  const taken = samples.flatMap(([amount, currency]) => {
    const text = textOf(amount, currency)
    return text === 'AMOUNT_INVALID' ? [] : [[text, currency] as const]
  })
  const refused = await accepts(taken)
  t.strictSame(
    taken.filter((_, i) => !refused[i]),
    [],
    'what the service accepts, the table keeps',
  )
})

t.test('the smallest and the largest amount of every currency are placed and read back', async (t) => {
  const { orders, org } = await startOrders(t)
  const extremes = [...currencyDecimals].flatMap(([currency, decimals]) => [
    { id: `${currency}-least`, currency, amount: Number(`1e-${decimals}`) },
    { id: `${currency}-most`, currency, amount: Number(`999999999999999e-${decimals}`) },
  ])
  await Promise.all(extremes.map((order) => orders.placeOrder(org, order)))
  const read = await Promise.all(
    extremes.map(async ({ id }) => {
      const { currency, amount } = await orders.getOrder(org, id)
      const [event] = (await orders.listEvents(org, id)).events
      return {
        id,
        currency,
        amount: event?.data.amount === amount ? amount : `${amount}, but its event says otherwise`,
      }
    }),
  )
  t.strictSame(read, extremes)
  t.equal(await outcomeOf(orders.placeOrder(org, { amount: 1.234, currency: 'EUR' })), 'AMOUNT_INVALID')
})
