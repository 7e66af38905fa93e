/** A cell; one that is empty is null, unless it is quoted: "" is an empty text. */
export type Cell = string | null

/** The cells of one CSV record (RFC 4180). Throws a SyntaxError that says what is wrong with its quotes. */
export function parseRecord(record: string): Cell[] {
  if (!record.includes('"')) return record.split(',').map((cell) => (cell === '' ? null : cell))
  const cells: Cell[] = []
  for (let at = 0; ; at++) {
    if (record[at] === '"') {
      const { text, end } = quotedCell(record, at)
      cells.push(text)
      at = end
      if (at < record.length && record[at] !== ',') throw new SyntaxError('text follows a closing quote')
    } else {
      const comma = record.indexOf(',', at)
      const end = comma < 0 ? record.length : comma
      const cell = record.slice(at, end)
      if (cell.includes('"')) throw new SyntaxError('a quote stands inside a cell that is not quoted')
      cells.push(cell === '' ? null : cell)
      at = end
    }
    if (at >= record.length) return cells
  }
}

function quotedCell(record: string, start: number) {
  let text = ''
  for (let at = start + 1; ; ) {
    const end = record.indexOf('"', at)
    if (end < 0) throw new SyntaxError('a quoted cell is not closed')
    text += record.slice(at, end)
    if (record[end + 1] !== '"') return { text, end: end + 1 }
    text += '"'
    at = end + 2
  }
}

/** One record with its line end. */
export const formatRecord = (cells: Cell[]): string => `${cells.map(formatCell).join(',')}\r\n`

function formatCell(cell: Cell): string {
  if (cell === null) return ''
  return cell === '' || /[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}

// What a spreadsheet calculates at the start of a cell, and where it may see a cell start: at its own separator, whatever
// ours is. A split at spaces has to be chosen by hand, and would change quotes in ordinary text.
const starts = '=+\\-@\uff1d\uff0b\uff0d\uff20'
const separators = ',;|\\t\\r\\n'
// Quotes before it count, so that taking one away is exact.
const first = new RegExp(`^(?='*[${starts}\\t\\r])`)
const firstWritten = new RegExp(`^'(?='*[${starts}\\t\\r])`)
const later = new RegExp(`([${separators}])(?=['"]*[${starts}])`, 'g')
const laterWritten = new RegExp(`([${separators}])'(?=['"]*[${starts}])`, 'g')
const inJson = new RegExp(`(?<=[${separators}]['"]*)[${starts}]`, 'g')

/** A text that no spreadsheet calculates: with a quote before each place that would start a formula. */
export const neutralise = (text: string): string => text.replace(later, "$1'").replace(first, "'")

/** Takes back what neutralise did. */
export const restore = (text: string): string => text.replace(firstWritten, '').replace(laterWritten, '$1')

/** JSON of an object of texts that no spreadsheet calculates; its value is the same. */
export const neutraliseJson = (json: string): string =>
  json.replace(inJson, (start) => `\\u${start.charCodeAt(0).toString(16).padStart(4, '0')}`)
