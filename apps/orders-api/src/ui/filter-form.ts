import { currencyDecimals, type OrderFilter, type OrderStatus, orderStatuses } from '@orders/schema'
import { type FieldErrors, isDecimal, readValues, textFault, type Values } from './fields.ts'

const names = ['q', 'status', 'currency', 'created_from', 'created_to', 'amount_min', 'amount_max'] as const
export type FilterValues = Values<(typeof names)[number]>

export type FilterForm = { values: FilterValues; errors: FieldErrors; filter: OrderFilter }

const dayMs = 86_400_000
/** After the last day of the year 9999, which no order reaches: a filter that ends there excludes none. */
const endOfTime = Date.UTC(10_000, 0, 1)

/** The filter of a query string as the page's form makes it: days are whole days in UTC, empty fields filter nothing. */
export function readFilter(query: unknown): FilterForm {
  const values = readValues(query, names)
  values.currency = values.currency.toUpperCase()
  const filter: OrderFilter = {}
  const errors: FieldErrors = {}
  const { q, status, currency, created_from, created_to, amount_min, amount_max } = values

  const fault = textFault(q, 100)
  if (fault) errors.q = fault
  else if (q) filter.q = q

  if (orderStatuses.includes(status as OrderStatus)) filter.status = status as OrderStatus
  else if (status) errors.status = `Choose one of ${orderStatuses.join(', ')}.`

  if (currencyDecimals.has(currency)) filter.currency = currency
  else if (currency) errors.currency = 'Enter an ISO 4217 code, such as EUR.'

  for (const [name, text, days] of [
    ['created_from', created_from, 0],
    ['created_to', created_to, 1], // the contract leaves the last instant out, the form means the whole day
  ] as const) {
    const start = startOfDay(text)
    if (start === undefined) {
      if (text) errors[name] = 'Enter a day as YYYY-MM-DD, such as 2026-11-21.'
    } else if (start + days * dayMs < endOfTime) filter[name] = new Date(start + days * dayMs).toISOString()
  }

  for (const [name, text] of [
    ['amount_min', amount_min],
    ['amount_max', amount_max],
  ] as const) {
    if (isDecimal(text)) filter[name] = Number(text)
    else if (text) errors[name] = 'Write the amount in digits with a point, such as 1234.50.'
  }
  return { values, errors, filter }
}

function startOfDay(text: string): number | undefined {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) && !text.startsWith('0000') ? Date.parse(text) : Number.NaN
  // Date.parse takes 31 February for 3 March in some forms; a real day survives the way there and back.
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(text) ? time : undefined
}

/** The address of the list under a filter, at a cursor if there is one. */
export function listUrl(values: FilterValues, cursor?: string): string {
  const given = Object.entries({ ...values, cursor: cursor ?? '' }).filter(([, value]) => value !== '')
  return given.length === 0 ? '/' : `/?${new URLSearchParams(given)}`
}
