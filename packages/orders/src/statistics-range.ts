/** Orders of a part of a day: `sign` -1 subtracts them from the whole days. `from` and `to`: RFC 3339, or 'infinity'. */
export type DayPart = { sign: 1 | -1; from: string; to: string }

/**
 * [from, to) as the UTC days from `firstDay` until before `endDay` (YYYY-MM-DD, or 'infinity'), and the parts of days that
 * add or subtract the rest.
 */
export type StatisticsRange = { from: string; to: string; firstDay: string; endDay: string; parts: DayPart[] }

type Edge = { wholeDaysUntil: number; part: DayPart | undefined }

const dayMs = 86_400_000
/** PostgreSQL reads no later year in this notation. */
const endOfTime = Date.parse('9999-12-31T00:00:00Z') + dayMs

/**
 * Splits [from, to), in RFC 3339, into whole UTC days and at most two parts of days. Only the parts need orders. `now` is in
 * milliseconds since 1970: orders are seldom later, so the rest of today is the cheaper part to read. Throws RangeError for an
 * invalid time.
 */
export function splitRange(from: string, to: string, now: number): StatisticsRange {
  const first = splitDay(from, now)
  const end = splitDay(to, now)
  return {
    from,
    to,
    firstDay: dayOf(first.wholeDaysUntil),
    endDay: dayOf(end.wholeDaysUntil),
    parts: [
      ...(first.part ? [{ ...first.part, sign: first.part.sign === 1 ? (-1 as const) : (1 as const) }] : []),
      ...(end.part ? [end.part] : []),
    ],
  }
}

/** All orders before an instant: those of whole days, and those of the shorter part of its day, added or taken away. */
function splitDay(instant: string, now: number): Edge {
  const at = Date.parse(instant)
  const start = Math.floor(at / dayMs) * dayMs
  const end = start + dayMs
  if (at === start) return { wholeDaysUntil: start, part: undefined }
  const isEarly = at - start <= Math.min(end, now) - at
  return isEarly
    ? { wholeDaysUntil: start, part: { sign: 1, from: timeOf(start), to: instant } }
    : { wholeDaysUntil: end, part: { sign: -1, from: instant, to: timeOf(end) } }
}

const timeOf = (ms: number) => (ms >= endOfTime ? 'infinity' : new Date(ms).toISOString())
const dayOf = (ms: number) => (ms >= endOfTime ? 'infinity' : new Date(ms).toISOString().slice(0, 10))
