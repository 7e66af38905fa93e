import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import t from 'tap'
import { neutralise, restore } from '../src/api/csv.ts'
import { startService } from './service.ts'

const separators = [',', ';', '\t', '|']
const starts = ['=', '+', '-', '@', '\uff1d', '\uff0b', '\uff0d', '\uff20']
const isFormula = (cell: string) => starts.some((start) => cell.startsWith(start))

/** A cell without the quotes that a spreadsheet takes for those of CSV. */
const unquoted = (cell: string) => cell.replace(/^"+/, '')

/** What a spreadsheet shows that splits at a separator, with and without regard to quotes. */
const cellsAt = (file: string, delimiter: string): string[] => [
  ...file.split(/\r?\n|\r/).flatMap((line) => line.split(delimiter).map(unquoted)),
  ...parse(file, { delimiter, relax_quotes: true, relax_column_count: true }).flat(),
]

t.test('no cell of an export is a formula, wherever a spreadsheet splits it', async (t) => {
  const { send, place } = await startService(t)
  const texts = starts.flatMap((start) => [
    `${start}1+1`,
    ...separators
      .filter((it) => it !== '\t')
      .flatMap((it) => [`x${it}${start}1+1`, `x${it}${it}${start}1`, `x${it}'${start}1`, `x${it}"${start}1+1${it}y`]),
    `'${start}1`,
  ])
  for (const [i, text] of texts.entries()) {
    const placed = await place({ id: `order-${i}`, amount: 1, description: text, metadata: { a: 'x', [text]: text } })
    t.equal(placed.status, 201)
  }
  for (const fields of ['all', 'import']) {
    const file = (await send('GET', `/orders/export?format=csv&fields=${fields}`)).text
    for (const delimiter of separators)
      t.same(cellsAt(file, delimiter).filter(isFormula), [], JSON.stringify(delimiter))
  }
  t.ok(cellsAt('x;=1+1', ';').some(isFormula), 'control')

  const { text: file } = await send('GET', '/orders/export?format=csv&fields=import')
  const other = await startService(t)
  const imported = await other.send('POST', '/orders/import', { body: file, headers: { 'content-type': 'text/csv' } })
  t.match(imported.json, { placed_count: texts.length, refused_count: 0 })
  for (const [i, text] of texts.entries()) {
    const { json } = await other.send('GET', `/orders/order-${i}`)
    t.same([json.description, json.metadata], [text, { a: 'x', [text]: text }], 'an import reads it back unchanged')
  }
})

t.test('any text is read back unchanged, and starts no formula', async (t) => {
  const characters = fc.constantFrom(...starts, ...separators, "'", '"', ' ', 'x', '\r', '\n')
  fc.assert(
    fc.property(fc.string({ unit: characters, maxLength: 30 }), (text) => {
      const written = neutralise(text)
      const [first = '', ...later] = written.split(/[,;\t|\r\n]/)
      return restore(written) === text && ![first, ...later.map(unquoted)].some(isFormula)
    }),
    { numRuns: 5000 },
  )
  t.equal(neutralise('Lamp - green, 5 +/- 1'), 'Lamp - green, 5 +/- 1', 'text between words stays as it is')
})
