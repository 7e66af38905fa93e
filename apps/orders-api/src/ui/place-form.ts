import { createHash, randomBytes } from 'node:crypto'
import { amountText, type Claim, OrdersError } from '@orders/orders'
import { currencyCodes, currencyDecimals, type NewOrder, OrderId } from '@orders/schema'
import type { Refusal } from '../errors.ts'
import { errorsOf, type FieldErrors, isDecimal, readValues, textFault, type Values } from './fields.ts'

const names = ['amount', 'currency', 'description', 'id', 'key'] as const
export type PlaceValues = Values<(typeof names)[number]>
export type PlaceForm = { values: PlaceValues; errors: FieldErrors; message?: string }

const idPattern = new RegExp(OrderId.pattern ?? '')
const keyPattern = /^[A-Za-z0-9_-]{16,255}$/
const currencyNames = new Intl.DisplayNames('en', { type: 'currency', fallback: 'none' })

/** Every currency for a <select>, "EUR, Euro". */
export const currencyOptions = currencyCodes.map((code) => {
  const name = currencyNames.of(code)
  return { value: code, text: name ? `${code}, ${name}` : code }
})

const newKey = () => randomBytes(16).toString('base64url')

/** An empty form. Its key makes it place one order at most, however often it is sent. */
export function emptyForm(currency: string): PlaceForm {
  return { values: { amount: '', currency, description: '', id: '', key: newKey() }, errors: {} }
}

/** Throws VALIDATION_FAILED with a fault a field. */
export function readPlaceForm(body: unknown): { order: NewOrder; key: string } {
  const { amount, currency, description, id, key } = readValues(body, names)
  const errors: FieldErrors = {}
  const wrongAmount = amountFault(amount, currency)
  if (!currencyDecimals.has(currency)) errors.currency = 'Choose a currency.'
  else if (wrongAmount) errors.amount = wrongAmount
  const wrongText = textFault(description, 2000)
  if (wrongText) errors.description = wrongText
  if (id && !idPattern.test(id)) {
    errors.id = 'Use up to 64 letters, digits, dots, dashes and underscores; the first is a letter or a digit.'
  }
  if (!keyPattern.test(key)) errors.key = 'The form has lost its key: send it again.'

  const faults = Object.entries(errors).map(([name, message]) => ({ path: `/${name}`, message }))
  if (faults.length > 0) throw new OrdersError('VALIDATION_FAILED', 'Nothing has been placed yet.', faults)
  return {
    order: { amount: Number(amount), currency, ...(id && { id }), ...(description && { description }) },
    key,
  }
}

function amountFault(amount: string, currency: string): string | undefined {
  if (amount === '') return 'Enter an amount, such as 12.50.'
  if (!/^\d+(\.\d+)?$/.test(amount)) return 'Write the amount in digits with a point, such as 1234.50.'
  if (!isDecimal(amount)) return 'Use at most 15 digits.'
  try {
    amountText(Number(amount), currency)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** What the form's key stands for: this order, placed from a page. */
export function claimOf(principal: string, key: string, { id, amount, currency, description }: NewOrder): Claim {
  const content = JSON.stringify([id, amount, currency, description])
  return { route: 'POST /ui/orders', principal, key, fingerprint: createHash('sha256').update(content).digest() }
}

const sendAgain = 'It is safe to send the form again: the order is placed once.'

/** The form as it was sent, with what was wrong; undefined for refusals that no change of the form can mend. */
export function refusedForm(body: unknown, { code, message, faults }: Refusal): PlaceForm | undefined {
  if (body === undefined || body === null) return undefined // it was refused before it was read
  const values = readValues(body, names)
  const form = { values, errors: errorsOf(faults) }
  switch (code) {
    case 'VALIDATION_FAILED':
    case 'AMOUNT_INVALID':
      return { ...form, values: keyPattern.test(values.key) ? values : { ...values, key: newKey() } }
    case 'ORDER_ID_TAKEN':
      return { ...form, errors: { id: 'Another order has this id: choose another one, or leave it empty.' } }
    case 'IDEMPOTENCY_MISMATCH':
      return {
        values: { ...values, key: newKey() },
        errors: {},
        message: 'This form has placed an order before. To place one more as below, send it once more.',
      }
    case 'IDEMPOTENCY_IN_FLIGHT':
    case 'DATABASE_UNAVAILABLE':
    case 'DURABILITY_LOST':
    case 'INTERNAL':
    case 'OVERLOADED':
    case 'TIMED_OUT':
      return { ...form, message: `${message} ${sendAgain}` }
    case 'QUOTA_EXCEEDED':
      return { ...form, message }
    default:
      return undefined
  }
}
