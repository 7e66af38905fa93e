import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import type { OrderRef, Outcome } from '@orders/orders'
import { ExponentialBackoff } from 'cockatiel'
import type { Delivery, EventContext } from 'rhea'
import { readMessage } from './cloud-event.ts'
import type { Line } from './dial.ts'

export type Handle = (events: OrderRef[]) => Promise<Outcome[]>
export type Consumed = 'processed' | 'released' | 'rejected'

type Options = {
  line: Line
  queue: string
  /** Does what follows from events, and answers an outcome each. Rejects if it can do nothing for now. */
  handle: Handle
  onConsumed: (outcome: Consumed, count: number) => void
  onFailure: (error: Error) => void
  /** How often each event that failed has been tried, by this process: RabbitMQ does not tell. */
  attempts: Map<string, number>
}

type Answer = { outcome: Consumed; tell: () => void }
type Arrival = { event: OrderRef; key: string; delivery: Delivery }

const credit = 200
const maxAttempts = 5
const maxCounted = 10_000
const pauses = new ExponentialBackoff({ initialDelay: 200, maxDelay: 30_000 })
const retryMs = 1000

/**
 * Opens the link that events come by. One is accepted when its effect is committed; what is none of ours, or failed too
 * often by itself, is rejected, and the broker keeps it in its dead letter queue; what may pass goes back to the queue.
 */
export async function attachReceiver({ line, queue, handle, onConsumed, onFailure, attempts }: Options) {
  const arrived: Arrival[] = []
  const answers: Answer[] = []
  const stopping = new AbortController()
  let pause = pauses.next()
  let working: Promise<void> | undefined
  let telling: Promise<void> | undefined

  const receiver = line.connection.open_receiver({ source: { address: queue }, credit_window: 0, autoaccept: false })
  receiver.on('message', ({ message, delivery }: EventContext) => {
    if (!message || !delivery) return
    const event = readMessage(message)
    if (event) arrived.push({ event, key: `${event.org_id}/${event.id}.${event.version}`, delivery })
    else reject(delivery, 'This is no event of an order.')
    working ??= work().finally(() => {
      working = undefined
    })
  })
  const stop = () => stopping.abort()
  line.lost.then(stop, stop)
  await new Promise((resolve) => receiver.once('receiver_open', resolve))
  receiver.add_credit(credit)

  async function work(): Promise<void> {
    // What comes together is one batch.
    await nextTurn()
    while (arrived.length > 0 && !stopping.signal.aborted) await settle(arrived.splice(0))
  }

  async function settle(batch: Arrival[]): Promise<void> {
    try {
      const outcomes = await handle(batch.map(({ event }) => event))
      pause = pauses.next()
      for (const [i, arrival] of batch.entries()) conclude(arrival, outcomes[i])
    } catch (error) {
      onFailure(error as Error)
      pause = pause.next(undefined)
      await wait(pause.duration)
      for (const { delivery } of batch) release(delivery)
    }
  }

  function conclude({ key, delivery }: Arrival, failure: Outcome): void {
    const tried = failure ? (attempts.get(key) ?? 0) + 1 : 0
    attempts.delete(key)
    if (!failure) answer('processed', () => delivery.accept())
    else if (tried >= maxAttempts) reject(delivery, failure.message)
    else {
      if (attempts.size >= maxCounted) attempts.clear()
      attempts.set(key, tried)
      wait(retryMs * tried)
        .then(() => release(delivery))
        .catch(onFailure)
    }
  }

  const reject = (delivery: Delivery, description: string) =>
    answer('rejected', () => delivery.reject({ condition: 'orders:refused', description: description.slice(0, 500) }))

  const release = (delivery: Delivery) => answer('released', () => delivery.release())

  function answer(outcome: Consumed, tell: () => void): void {
    answers.push({ outcome, tell })
    telling ??= tellAll().finally(() => {
      telling = undefined
    })
  }

  // The library gives the first two that are settled in one turn the outcome of the first, if they came one after the
  // other: only those that are accepted may share a turn.
  async function tellAll(): Promise<void> {
    for (await nextTurn(); answers.length > 0; await nextTurn()) {
      const others = answers.findIndex(({ outcome }) => outcome !== 'processed')
      const alike = answers.splice(0, others === 0 ? 1 : others < 0 ? answers.length : others)
      // A connection that is gone hears nothing more; the broker gives its events to another one.
      if (!receiver.is_open()) continue
      for (const { tell } of alike) tell()
      onConsumed((alike[0] as Answer).outcome, alike.length)
      if (!stopping.signal.aborted) receiver.add_credit(alike.length)
    }
  }

  const wait = (ms: number) => delay(ms, undefined, { signal: stopping.signal }).catch(() => {})

  return {
    /** Takes no more, and resolves when what is being worked on is done. */
    async stop(): Promise<void> {
      stopping.abort()
      await working
      await telling
    },
  }
}
