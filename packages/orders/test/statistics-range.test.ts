import t from 'tap'
import { splitRange } from '../src/statistics-range.ts'

const now = Date.parse('2026-11-28T15:00:00Z')

t.test('whole days need no orders', async (t) => {
  t.strictSame(splitRange('2026-11-01T00:00:00Z', '2026-11-03T00:00:00Z', now), {
    from: '2026-11-01T00:00:00Z',
    to: '2026-11-03T00:00:00Z',
    firstDay: '2026-11-01',
    endDay: '2026-11-03',
    parts: [],
  })
})

t.test('the shorter part of a day is read, and taken away if it is outside the range', async (t) => {
  const late = '2026-11-01T18:00:00Z'
  const early = '2026-11-03T06:00:00Z'
  t.strictSame(splitRange(late, early, now), {
    from: late,
    to: early,
    firstDay: '2026-11-02',
    endDay: '2026-11-03',
    parts: [
      { sign: 1, from: late, to: '2026-11-02T00:00:00.000Z' },
      { sign: 1, from: '2026-11-03T00:00:00.000Z', to: early },
    ],
  })
  t.strictSame(splitRange(early, '2026-11-04T18:00:00Z', now), {
    from: early,
    to: '2026-11-04T18:00:00Z',
    firstDay: '2026-11-03',
    endDay: '2026-11-05',
    parts: [
      { sign: -1, from: '2026-11-03T00:00:00.000Z', to: early },
      { sign: -1, from: '2026-11-04T18:00:00Z', to: '2026-11-05T00:00:00.000Z' },
    ],
  })
})

t.test('of today, the part that is still to come is the shorter one', async (t) => {
  t.strictSame(splitRange('2026-11-28T00:00:00Z', '2026-11-28T14:59:00Z', now), {
    from: '2026-11-28T00:00:00Z',
    to: '2026-11-28T14:59:00Z',
    firstDay: '2026-11-28',
    endDay: '2026-11-29',
    parts: [{ sign: -1, from: '2026-11-28T14:59:00Z', to: '2026-11-29T00:00:00.000Z' }],
  })
})

t.test('the first and the last day that RFC 3339 can name are days as well', async (t) => {
  t.strictSame(splitRange('0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999Z', now), {
    from: '0001-01-01T00:00:00Z',
    to: '9999-12-31T23:59:59.999Z',
    firstDay: '0001-01-01',
    endDay: 'infinity',
    parts: [{ sign: -1, from: '9999-12-31T23:59:59.999Z', to: 'infinity' }],
  })
})
