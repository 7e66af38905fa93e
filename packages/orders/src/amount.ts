import { currencyDecimals } from '@orders/schema'
import { OrdersError } from './errors.ts'

const maxDigits = 15 // every decimal of up to 15 digits survives a double and back (IEEE 754)

/**
 * The exact decimal text of an amount in major units, e.g. 123.45 -> "123.45".
 * Throws AMOUNT_INVALID unless it is positive, has at most 15 digits, and no more decimals than its currency has.
 */
export function amountText(amount: number, currency: string): string {
  const decimals = currencyDecimals.get(currency)
  if (decimals === undefined) throw invalid(`${currency} is not a currency of ISO 4217.`, '/currency')
  if (!(amount > 0)) throw invalid('The amount must be greater than 0.')
  const text = String(amount)
  const [whole = '', fraction = ''] = text.split('.')
  // Beyond these sizes a number's text is in exponents; a JSON number of 400 digits is read as Infinity.
  if (!Number.isFinite(amount) || text.includes('e') || digits(whole) + fraction.length > maxDigits) {
    throw invalid(`The amount may have at most ${maxDigits} digits.`)
  }
  if (fraction.length > decimals) {
    throw invalid(`An amount in ${currency} has at most ${decimals} decimals.`)
  }
  return text
}

const digits = (whole: string) => (whole === '0' ? 0 : whole.length)

function invalid(message: string, path = '/amount') {
  return new OrdersError('AMOUNT_INVALID', message, [{ path, message }])
}
