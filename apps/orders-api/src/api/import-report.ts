import { type ImportProgress, OrdersError, QuotaExceeded } from '@orders/orders'
import type { ImportFailure } from '@orders/schema'
import { refusalOf } from '../errors.ts'

const progressMs = 1000
const headAfter = 16_384 // characters of report that are kept back, so that an early end can still be told by its status

type Counts = Omit<ImportProgress, 'refused' | 'through_line'>
const none: Counts = { lines: 0, placed_count: 0, existing_count: 0, refused_count: 0 }

/**
 * One ImportReport, written as it grows: refusals first, counts last. Throws what ends an import before any of it is
 * written, except if the signal ends an import that has placed lines: then the report states through which.
 */
export async function* jsonReport(steps: AsyncIterable<ImportProgress>, signal: AbortSignal): AsyncGenerator<string> {
  let text = '{"refused":['
  let written = false
  let through = 0
  let counts = none
  let failure: ImportFailure | undefined
  try {
    for await (const { refused, through_line, ...rest } of steps) {
      for (const refusal of refused) {
        text += `${counts.refused_count > 0 || refusal !== refused[0] ? ',' : ''}${JSON.stringify(refusal)}`
      }
      through = through_line
      counts = rest
      if (text.length < headAfter) continue
      written = true
      yield text
      text = ''
    }
  } catch (error) {
    failure = failureOf(error, through, counts)
    if (!written && !isWorthReporting(signal, counts)) throw errorOf(failure)
  }
  yield `${text}],${JSON.stringify({ ...counts, failure }).slice(1)}`
}

/** A line for each refusal, one about every second that tells how far the import is, and last the report. */
export async function* ndjsonReport(steps: AsyncIterable<ImportProgress>, signal: AbortSignal): AsyncGenerator<string> {
  let through = 0
  let counts = none
  let failure: ImportFailure | undefined
  let told = performance.now()
  let written = false
  try {
    for await (const { refused, through_line, ...rest } of steps) {
      through = through_line
      counts = rest
      let text = refused.map((refusal) => lineOf('refused', refusal)).join('')
      if (performance.now() - told >= progressMs) {
        told = performance.now()
        text += lineOf('progress', { ...counts, through_line })
      }
      if (text === '') continue
      written = true
      yield text
    }
  } catch (error) {
    failure = failureOf(error, through, counts)
    if (!written && !isWorthReporting(signal, counts)) throw errorOf(failure)
  }
  yield lineOf('report', { ...counts, failure })
}

const isWorthReporting = (signal: AbortSignal, { lines }: Counts) => signal.aborted && lines > 0

const lineOf = (type: string, value: object) => `${JSON.stringify({ type, ...value })}\n`

/** What to tell of an error that ends an import; an unknown one is thrown on, so that the answer is cut off. */
function failureOf(error: unknown, through: number, { lines, placed_count }: Counts): ImportFailure {
  const refusal = refusalOf(error)
  if (!refusal) throw error
  const message =
    lines === 0
      ? refusal.message
      : `${refusal.message} Up to line ${through} each order is placed or refused (${placed_count} placed): send what follows, or all of it, again.`
  return { error: refusal.code, message, through_line: through, ...(refusal.quota && { quota: refusal.quota }) }
}

const errorOf = ({ error, message, quota }: ImportFailure) =>
  quota ? new QuotaExceeded(quota, message) : new OrdersError(error, message)
