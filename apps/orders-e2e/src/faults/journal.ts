import type { Answer } from './http.ts'

export type NewOrder = {
  id?: string
  amount: number
  currency?: string
  description?: string
  metadata: { key: string }
}

export type Failure = { at: number; error?: string; answer?: Answer }

/** One key: the order that was sent under it, again and again until it was acknowledged. */
export type Entry = {
  key: string
  order: NewOrder
  answer: Answer | undefined
  /** Later answers to the same request that differ from the first. */
  replays: Answer[]
}

/** What clients were told. Times in milliseconds of the process's clock. */
export class Journal {
  readonly entries: Entry[] = []
  readonly failures: Failure[] = []
  acknowledged = 0
  /** Longest time in which no client got an order acknowledged. */
  longestOutage = 0
  #last = performance.now()
  #waiting: { count: number; resolve: () => void }[] = []

  open(order: NewOrder): Entry {
    const entry = { key: order.metadata.key, order, answer: undefined, replays: [] }
    this.entries.push(entry)
    return entry
  }

  acknowledge(entry: Entry, answer: Answer): void {
    entry.answer = answer
    this.acknowledged++
    const now = performance.now()
    this.longestOutage = Math.max(this.longestOutage, now - this.#last)
    this.#last = now
    for (const { resolve } of this.#waiting.filter(({ count }) => count <= this.acknowledged)) resolve()
    this.#waiting = this.#waiting.filter(({ count }) => count > this.acknowledged)
  }

  fail(cause: Answer | Error): void {
    const at = performance.now()
    this.failures.push(cause instanceof Error ? { at, error: cause.message } : { at, answer: cause })
  }

  /** Resolves when so many orders have been acknowledged; rejects after `timeoutMs`. */
  reach(count: number, timeoutMs: number): Promise<void> {
    if (count <= this.acknowledged) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const late = setTimeout(() => {
      const last = JSON.stringify(this.failures.at(-1))
      reject(new Error(`${this.acknowledged} instead of ${count} orders within ${timeoutMs} ms; last failure: ${last}`))
    }, timeoutMs)
    this.#waiting.push({ count, resolve })
    return promise.finally(() => clearTimeout(late))
  }
}
