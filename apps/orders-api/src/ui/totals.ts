import type { OrderStats } from '@orders/schema'
import { fromUnits, money, toUnits } from './money.ts'
import { dayText } from './time.ts'

const dayMs = 86_400_000
export const totalsDays = 30

const whole = new Intl.NumberFormat('en')
const plot = { height: 100, step: 10, bar: 7 }

/** The last 30 UTC days, today included: [from, to) for the statistics. */
export function totalsRange(now: Date): { from: string; to: string } {
  const today = Date.parse(now.toISOString().slice(0, 10))
  return {
    from: new Date(today - (totalsDays - 1) * dayMs).toISOString(),
    to: new Date(today + dayMs).toISOString(),
  }
}

type Sum = { count: number; units: bigint }

/**
 * What the page shows of the statistics: sums per currency, and a chart and a table of days. The chart has one
 * currency, since no two can be added: the preferred one, else the one with the most orders. Cancelled orders are left out.
 */
export function totalsOf(stats: OrderStats['data'], from: string, preferred: string | undefined) {
  const kept = stats.filter(({ status }) => status !== 'cancelled')
  const byCurrency = [...sums(kept, ({ currency }) => currency)].sort(([, a], [, b]) => b.count - a.count)
  const currencies = byCurrency.map(([currency, { count, units }]) => ({
    currency,
    orders: `${whole.format(count)} ${count === 1 ? 'order' : 'orders'}`,
    sum: money(fromUnits(units), currency),
  }))
  const main = currencies.find(({ currency }) => currency === preferred) ?? currencies[0]
  if (!main) return undefined

  const { currency } = main
  const byDay = sums(
    kept.filter((row) => row.currency === currency),
    ({ day }) => day,
  )
  const highest = [...byDay.values()].reduce((most, { units }) => (units > most ? units : most), 0n)
  const days = Array.from({ length: totalsDays }, (_, index) => {
    const day = new Date(Date.parse(from) + index * dayMs).toISOString().slice(0, 10)
    const { count, units } = byDay.get(day) ?? { count: 0, units: 0n }
    // A day with any order shows a mark, however small beside the highest.
    const height = units === 0n ? 0 : Math.max(1.5, (Number(units) / Number(highest)) * plot.height)
    return {
      day,
      text: dayText(day),
      count,
      orders: whole.format(count),
      sum: money(fromUnits(units), currency),
      bar: { x: index * plot.step, y: round(plot.height - height), width: plot.bar, height: round(height) },
    }
  })
  const peak = days.find(({ day }) => byDay.get(day)?.units === highest)
  return {
    main,
    currencies: currencies.filter((it) => it !== main),
    days,
    busyDays: days.filter(({ count }) => count > 0).reverse(),
    width: (totalsDays - 1) * plot.step + plot.bar,
    height: plot.height,
    peak,
    // The last day of each whole week; the sheet lays them out in this rhythm.
    ticks: days.filter((_, index) => (index - 1) % 7 === 0 && index > 1).map(({ text }) => text),
  }
}

function sums(rows: OrderStats['data'], keyOf: (row: OrderStats['data'][number]) => string): Map<string, Sum> {
  const result = new Map<string, Sum>()
  for (const row of rows) {
    const { count, units } = result.get(keyOf(row)) ?? { count: 0, units: 0n }
    result.set(keyOf(row), { count: count + row.count, units: units + toUnits(row.sum) })
  }
  return result
}

const round = (value: number) => Math.round(value * 100) / 100
