import { STATUS_CODES } from 'node:http'
import { Value } from '@sinclair/typebox/value'
import t from 'tap'
import {
  currencyCodes,
  currencyDecimals,
  errorCatalogue,
  errorCodes,
  NewOrder,
  OrderPatch,
  Problem,
} from '../src/index.ts'

t.test('every error has a status of HTTP, a title and a way out', async (t) => {
  t.ok(errorCodes.length > 20)
  const entries = Object.entries(errorCatalogue)
  for (const [code, { status, title, help }] of entries) {
    t.match(code, /^[A-Z]+(_[A-Z]+)*$/)
    t.ok(status >= 400 && STATUS_CODES[status], `${code}: ${status}`)
    t.match(title, /^[A-Z].*[^.]$/, `${code}: a title is no sentence`)
    t.match(help, /^\S.{10,}\.$/, `${code}: help is a sentence`)
  }
  t.equal(new Set(entries.map(([, { title }]) => title)).size, entries.length, 'no two share a title')
  t.same(Problem.properties.error.enum, errorCodes)
})

t.test('currencies are those of ISO 4217, with their own decimals', async (t) => {
  for (const code of currencyCodes) t.match(code, /^[A-Z]{3}$/)
  t.equal(currencyCodes.length, new Set(currencyCodes).size)
  t.same(currencyCodes, [...currencyCodes].sort())
  t.same([...currencyDecimals.keys()].sort(), currencyCodes)
  // The platform has customary decimals for some codes; for these it has those of ISO.
  for (const code of ['EUR', 'USD', 'GBP', 'JPY', 'KRW', 'CLP', 'BHD', 'KWD', 'TND', 'CLF', 'UYW']) {
    const { maximumFractionDigits } = new Intl.NumberFormat('en', {
      style: 'currency',
      currency: code,
    }).resolvedOptions()
    t.equal(currencyDecimals.get(code), maximumFractionDigits, code)
  }
  for (const code of ['XXX', 'XTS', 'XAU', 'DEM', 'BTC']) t.notOk(currencyDecimals.has(code), code)
})

t.test('a new order takes what is documented and nothing else', async (t) => {
  t.ok(Value.Check(NewOrder, { amount: 1 }))
  t.ok(Value.Check(NewOrder, { id: 'a', amount: 1, metadata: { a: 'b' } }))
  for (const id of ['stats', 'export', 'import', 'stream', '', '-a', 'a b', 'x'.repeat(65)]) {
    t.notOk(Value.Check(NewOrder, { id, amount: 1 }), id)
  }
  for (const other of [{}, { amount: '1' }, { amount: 1, status: 'placed' }, { amount: 1, metadata: { a: 1 } }]) {
    t.notOk(Value.Check(NewOrder, other), JSON.stringify(other))
  }
  t.notOk(Value.Check(OrderPatch, {}))
  t.notOk(Value.Check(OrderPatch, { amount: 1 }))
})
