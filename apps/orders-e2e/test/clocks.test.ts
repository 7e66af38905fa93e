import { join } from 'node:path'
import t from 'tap'
import { linesWithClockReads, placesWithClockReads } from '../src/clocks.ts'

t.test('no source reads the clock of its process', async (t) => {
  t.same(placesWithClockReads(join(import.meta.dirname, '../../..')), [])
})

t.test('control: every way to read it is found', async (t) => {
  for (const line of [
    'const a = Date.now()',
    'x(Date.now)',
    'new Date().toISOString()',
    'new Date( )',
    'const now = new Date',
    'Date()',
    'Temporal.Now.instant()',
  ]) {
    t.same(linesWithClockReads(`first\n${line}\n`), [2], line)
  }
  for (const line of [
    'new Date(time)',
    'Date.parse(text)',
    'Date.UTC(2026, 0)',
    'performance.now()',
    '// Date.now() goes back',
    ' * Date.now()',
    'updateDate()',
  ]) {
    t.same(linesWithClockReads(line), [], line)
  }
})
