export interface SeedOrder {
  /** Exact decimal text in major units. */
  amount: string
  currency: string
  description: string | null
  metadata: Record<string, string>
  /** The statuses it went through, oldest first, between spaces. */
  path: string
  /** Seconds since it was placed. */
  age: number
  /** Seconds from one status to the next. */
  pace: number
}

type Weighted<T> = readonly (readonly [weight: number, value: T])[]

const day = 86_400
const span = 90 * day

// A typical order of each currency, in major units.
const currencies: Weighted<{ code: string; decimals: number; typical: number }> = [
  [46, { code: 'EUR', decimals: 2, typical: 68 }],
  [24, { code: 'USD', decimals: 2, typical: 74 }],
  [12, { code: 'GBP', decimals: 2, typical: 59 }],
  [7, { code: 'CHF', decimals: 2, typical: 82 }],
  [6, { code: 'JPY', decimals: 0, typical: 9800 }],
  [3, { code: 'SEK', decimals: 2, typical: 720 }],
  [2, { code: 'KWD', decimals: 3, typical: 21 }],
]
const settledPaths: Weighted<string> = [
  [82, 'placed confirmed completed'],
  [7, 'placed confirmed'],
  [6, 'placed cancelled'],
  [4, 'placed confirmed cancelled'],
  [1, 'placed'],
]
const freshPaths: Weighted<string> = [
  [45, 'placed'],
  [40, 'placed confirmed'],
  [9, 'placed confirmed completed'],
  [6, 'placed cancelled'],
]
const channels: Weighted<string> = [
  [60, 'web'],
  [30, 'mobile'],
  [7, 'store'],
  [3, 'phone'],
]
const things = ['Desk lamp', 'Oak shelf', 'Wool blanket', 'Tea pot', 'Garden chair', 'Bicycle light', 'Linen curtain']
const notes = ['gift wrapped', 'leave with a neighbour', 'call before delivery', 'second floor', 'replacement part']

/** `count` orders of the last 90 days, oldest first; the same seed gives the same ones. */
export function* seedOrders(count: number, seed: number): Generator<SeedOrder, undefined> {
  const random = uniform(seed)
  for (let i = 0; i < count; i++) {
    const age = wavy((span * (count - i - random())) / count)
    const path = pick(age > 3 * day ? settledPaths : freshPaths, random())
    const steps = path.split(' ').length - 1
    const { code, decimals, typical } = pick(currencies, random())
    yield {
      amount: Math.max(typical * Math.exp(0.9 * normal(random)), 10 ** -decimals).toFixed(decimals),
      currency: code,
      description: random() < 0.7 ? describe(random) : null,
      metadata: { channel: pick(channels, random()), ...(random() < 0.2 && { campaign: `c-${(age % 7) | 0}` }) },
      path,
      age,
      pace: steps === 0 ? 0 : Math.min(age / (steps + 1), 2 * day) * random(),
    }
  }
}

/** Bends time so that afternoons are busier than nights; keeps the order. */
const wavy = (age: number) => Math.min(Math.max(age + 0.12 * day * Math.sin((2 * Math.PI * age) / day), 0), span)

function describe(random: () => number): string {
  const one = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)] as T
  const text = `${Math.ceil(random() * 3)} x ${one(things)}`
  return random() < 0.3 ? `${text}, ${one(notes)}` : text
}

function pick<T>(choices: Weighted<T>, at: number): T {
  let left = at * choices.reduce((sum, [weight]) => sum + weight, 0)
  for (const [weight, value] of choices) {
    left -= weight
    if (left < 0) return value
  }
  throw new Error('nothing to pick from')
}

/** Box-Muller: a standard normal number. */
const normal = (random: () => number) => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())

/** mulberry32: numbers in [0, 1) that depend on the seed alone. */
function uniform(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
