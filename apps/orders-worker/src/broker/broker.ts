import type { Outcome, QueuedEvent } from '@orders/orders'
import { BrokenCircuitError, ConsecutiveBreaker, circuitBreaker, ExponentialBackoff, handleAll } from 'cockatiel'
import type { BrokerAddress } from './address.ts'
import { azureTokens, type GetToken, showClaims } from './claims.ts'
import type { Line } from './dial.ts'
import { BrokerError } from './error.ts'
import { keepConnection } from './keep.ts'
import { attachReceiver, type Consumed, type Handle } from './receiver.ts'
import { attachSender } from './sender.ts'

export type Direction = 'publish' | 'consume'

type Options = {
  address: BrokerAddress
  handle: Handle
  /** A connection can be used, or, with the reason, no longer can: called once for each change. */
  onChange: (direction: Direction, why?: BrokerError) => void
  onPublished: (outcome: 'accepted' | 'refused', count: number) => void
  onConsumed: (outcome: Consumed, count: number) => void
  /** No event can be processed for now; told for each attempt, which come more and more rarely. */
  onFailure: (error: Error) => void
  getToken?: GetToken
}

export type Broker = ReturnType<typeof createBroker>

/**
 * A queue of an AMQP 1.0 broker that events are published to and consumed from. The two have a connection each: a broker
 * that is short of memory stops reading from those that publish, and must still hear what was consumed.
 */
export function createBroker(options: Options) {
  const { address, handle, onChange, onPublished, onConsumed, onFailure } = options
  const { queue } = address
  const attempts = new Map<string, number>()
  let tokens: Promise<GetToken> | undefined

  /** Shows who we are, where that was not done by logging in. */
  async function introduce({ connection, lost, cut }: Line): Promise<void> {
    if (address.login) return
    tokens ??= options.getToken ? Promise.resolve(options.getToken) : azureTokens()
    const stop = await showClaims(connection, address.audience, await tokens, cut)
    lost.then(stop, stop)
  }

  const publishing = keepConnection({
    address,
    attach: async (line) => {
      await introduce(line)
      return attachSender(line, queue)
    },
    onChange: (why) => onChange('publish', why),
  })
  const consuming = keepConnection({
    address,
    attach: async (line) => {
      await introduce(line)
      return attachReceiver({ line, queue, handle, onConsumed, onFailure, attempts })
    },
    onChange: (why) => onChange('consume', why),
  })
  // A broker that lets us in and then does not answer is asked by one batch now and then, each of which takes 10 s.
  const circuit = circuitBreaker(handleAll, {
    breaker: new ConsecutiveBreaker(1),
    halfOpenAfter: new ExponentialBackoff({ initialDelay: 500, maxDelay: 30_000 }),
  })

  /** Resolves with what the broker said of each event, in their order; rejects with a BrokerError. */
  async function publish(events: QueuedEvent[]): Promise<Outcome[]> {
    const outcomes = await circuit
      .execute(() => sendNow(events))
      .catch((error: Error) => {
        throw error instanceof BrokenCircuitError ? new BrokerError('the broker did not answer lately') : error
      })
    const refused = outcomes.filter(Boolean).length
    onPublished('refused', refused)
    onPublished('accepted', outcomes.length - refused)
    return outcomes
  }

  async function sendNow(events: QueuedEvent[]): Promise<Outcome[]> {
    const sender = publishing.current()
    if (!sender) throw new BrokerError('the broker is away')
    return sender.send(events)
  }

  return {
    publish,
    /** Whether events can be published. */
    isUp: (): boolean => publishing.current() !== undefined,
    open(): void {
      publishing.open()
      consuming.open()
    },
    /** Call it when nothing is being published. Resolves when what was taken from the queue is done. */
    async close(): Promise<void> {
      await consuming.current()?.stop()
      await Promise.all([publishing.close(), consuming.close()])
    },
  }
}
