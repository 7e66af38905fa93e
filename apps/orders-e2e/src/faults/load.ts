import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Answer, keepAlive, place } from './http.ts'
import { type Entry, Journal } from './journal.ts'

const retryMs = 50
const paceMs = 4 // the clients share the machine with what they test
const answerMs = 60_000

export interface Load {
  journal: Journal
  /** Resolves after so many more acknowledged orders; rejects if they take over 60 s. */
  acknowledgedMore(count: number): Promise<void>
  /** Lets every client finish the order that it is placing. */
  stop(): Promise<void>
}

/**
 * Clients that place orders one after the other, journal every answer, and repeat with the same key after any failure
 * until the order is acknowledged. Every tenth acknowledged order is sent once more: its answer must be the same.
 */
export function startLoad(url: string, clients = 16): Load {
  const journal = new Journal()
  const agent = keepAlive()
  let running = true

  async function client(number: number) {
    for (let count = 0; running; count++) {
      const entry = journal.open(newOrder(number, count))
      await placeUntilAcknowledged(entry)
      if (count % 10 === 0) await repeat(entry)
      await delay(paceMs)
    }
  }

  async function placeUntilAcknowledged(entry: Entry) {
    for (const giveUpAt = performance.now() + answerMs; ; await delay(retryMs)) {
      const answer = await attempt(entry)
      if (answer && answer.status >= 200 && answer.status < 300) return journal.acknowledge(entry, answer)
      if (performance.now() > giveUpAt) throw new Error(`no order within ${answerMs} ms: ${JSON.stringify(entry)}`)
    }
  }

  async function repeat(entry: Entry) {
    const answer = await attempt(entry)
    if (answer && answer.status < 400 && answer.body !== entry.answer?.body) entry.replays.push(answer)
  }

  async function attempt(entry: Entry): Promise<Answer | undefined> {
    try {
      const answer = await place(url, entry.key, entry.order, agent)
      if (answer.status >= 300) journal.fail(answer)
      return answer
    } catch (error) {
      journal.fail(error as Error)
      return undefined
    }
  }

  const work = Promise.all(Array.from({ length: clients }, (_, number) => client(number)))
  work.catch(() => {}) // stop() and acknowledgedMore() tell
  return {
    journal,
    acknowledgedMore: (count) =>
      Promise.race([journal.reach(journal.acknowledged + count, answerMs), work.then(() => {})]),
    stop: async () => {
      running = false
      await work
      agent.destroy()
    },
  }
}

/** Orders of all kinds: with and without an id, a currency, a description. The metadata tells which key placed it. */
function newOrder(client: number, count: number) {
  const key = randomUUID()
  return {
    ...(count % 3 === 0 && { id: `client-${client}-${key}` }),
    amount: (1 + ((client * 7919 + count * 104_729) % 10_000_000)) / 100,
    ...(count % 2 === 0 && { currency: 'USD' }),
    ...(count % 5 === 0 && { description: `Order ${count} of client ${client}` }),
    metadata: { key },
  }
}
