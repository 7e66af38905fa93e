import { type ImportItem, OrdersError } from '@orders/orders'
import type { ImportLine } from '@orders/schema'
import type { FastifyRequest, FastifySchemaValidationError } from 'fastify'
import { refusalOf } from '../errors.ts'
import { parseStrictText } from '../plugins/strict-json.ts'
import { createCsvReader, invalid } from './import-csv.ts'
import type { Line } from './lines.ts'

type ValidationFunction = ReturnType<FastifyRequest['compileValidationSchema']>

const byteOrderMark = '\ufeff'

/** Lines of NDJSON as orders, or as refusals of what is none; empty lines are left out. */
export async function* ndjsonItems(lines: AsyncIterable<Line[]>, validate: ValidationFunction) {
  for await (const group of lines) yield group.flatMap((line) => itemsOf(line, parseStrictText, validate))
}

/** The same of CSV, whose first line is the header. Throws VALIDATION_FAILED for a header that cannot be used. */
export async function* csvItems(lines: AsyncIterable<Line[]>, validate: ValidationFunction) {
  let read: ((record: string) => unknown) | undefined
  for await (const group of lines) {
    const items: ImportItem[] = []
    for (const line of group) {
      if (read) items.push(...itemsOf(line, read, validate))
      else {
        const header = lineText(line)
        if (header.trim() !== '') read = createCsvReader(header)
      }
    }
    if (items.length > 0) yield items
  }
  if (!read) throw new OrdersError('VALIDATION_FAILED', 'The body is empty: its first line must name the columns.')
}

function itemsOf(line: Line, read: (text: string) => unknown, validate: ValidationFunction): ImportItem[] {
  try {
    const text = lineText(line)
    if (text.trim() === '') return []
    return [{ line: line.line, order: checked(read(text), validate) }]
  } catch (error) {
    if (error instanceof OrdersError) return [{ line: line.line, refusal: error }]
    throw error
  }
}

function lineText(entry: Line): string {
  if (entry.fault !== undefined) throw invalid(entry.fault)
  const { line, text } = entry
  const marked = line === 1 && text.startsWith(byteOrderMark)
  return text.slice(marked ? 1 : 0, text.endsWith('\r') ? -1 : undefined)
}

function checked(value: unknown, validate: ValidationFunction): ImportLine {
  if (validate(value)) return value as ImportLine
  const refusal = refusalOf({
    validation: validate.errors as FastifySchemaValidationError[],
    validationContext: 'line',
  })
  const withoutId = refusal?.message.includes(' /id is missing')
  const message = withoutId
    ? 'In the line, /id is missing: without it an import is not safe to send again.'
    : (refusal?.message ?? 'The line is not an order.')
  throw new OrdersError('VALIDATION_FAILED', message, refusal?.faults)
}
