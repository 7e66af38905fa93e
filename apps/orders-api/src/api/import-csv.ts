import { OrdersError } from '@orders/orders'
import { jsonLimits, parseStrictText } from '../plugins/strict-json.ts'
import { type Cell, parseRecord, restore } from './csv.ts'

const plainColumns = ['id', 'amount', 'currency', 'project_id', 'description', 'metadata']
const prefix = 'metadata.'

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const control = /[\u0000-\u001f\u007f]/

/**
 * Reads the header of a CSV import, and returns what makes the fields of an order of each later record.
 * Throws VALIDATION_FAILED for columns that are unknown, stand twice or are missing.
 */
export function createCsvReader(header: string): (record: string) => Record<string, unknown> {
  const columns = cellsOf(header).map((cell) => cell?.trim() ?? '')
  const names = columns.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
  const unknown = columns.filter((name) => !plainColumns.includes(name) && !name.startsWith(prefix))
  if (unknown.length > 0 || names.includes('__proto__')) {
    const listed = unknown.map((name) => JSON.stringify(name.slice(0, 64))).join(', ') || 'metadata.__proto__'
    throw refuseHeader(`has columns that an import does not take: ${listed.slice(0, 500)}`)
  }
  const twice = columns.find((name, i) => columns.indexOf(name) < i)
  if (twice) throw refuseHeader(`names ${twice} twice`)
  if (names.length > 0 && columns.includes('metadata')) throw refuseHeader('has both metadata and metadata.<name>')
  for (const name of ['id', 'amount']) if (!columns.includes(name)) throw refuseHeader(`lacks the column ${name}`)

  return (record) => {
    const cells = cellsOf(record)
    if (cells.length !== columns.length) throw invalid(`it has ${cells.length} cells, the header ${columns.length}`)
    const fields: Record<string, unknown> = {}
    const metadata: [string, string][] = []
    columns.forEach((column, i) => {
      const cell = cells[i] as Cell
      if (cell === null) return
      if (control.test(cell)) throw invalid(`control characters are not allowed, as in ${column}`)
      if (column === 'amount') fields.amount = amountOf(cell)
      else if (column === 'metadata') fields.metadata = parseStrictText(cell)
      else if (column === 'description') fields.description = restore(cell)
      else if (column.startsWith(prefix)) metadata.push([column.slice(prefix.length), restore(cell)])
      else fields[column] = cell
    })
    if (metadata.length > 0) fields.metadata = Object.fromEntries(metadata)
    return fields
  }
}

function cellsOf(record: string): Cell[] {
  try {
    return parseRecord(record)
  } catch (error) {
    throw invalid((error as Error).message)
  }
}

/** A decimal of at most as many digits as every double keeps. */
function amountOf(cell: string): number {
  const digits = cell.replace(/\D/g, '').replace(/^0+/, '')
  if (!/^-?\d+(\.\d+)?$/.test(cell) || digits.length > jsonLimits.digits) {
    const message = `must be a decimal number of at most ${jsonLimits.digits} digits, such as 123.45`
    throw new OrdersError('AMOUNT_INVALID', `In the line, /amount ${message}.`, [{ path: '/amount', message }])
  }
  return Number(cell)
}

export const invalid = (fault: string) => new OrdersError('VALIDATION_FAILED', `The line cannot be read: ${fault}.`)
const refuseHeader = (fault: string) =>
  new OrdersError(
    'VALIDATION_FAILED',
    `The header ${fault}. The columns are ${plainColumns.join(', ')} or ${prefix}<name>.`,
  )
