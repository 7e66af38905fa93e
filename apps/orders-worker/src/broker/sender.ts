import type { Outcome, QueuedEvent } from '@orders/orders'
import type { Delivery } from 'rhea'
import { toMessage } from './cloud-event.ts'
import type { Line } from './dial.ts'
import { BrokerError } from './error.ts'
import { answerMs } from './keep.ts'

type Waiting = { resolve: (outcome: Outcome) => void; reject: (why: Error) => void }

/** Opens the link that events leave by. */
export async function attachSender(line: Line, queue: string) {
  const { connection, lost, cut } = line
  const waiting = new Map<Delivery, Waiting>()
  const sender = connection.open_sender({ target: { address: queue } })
  sender.on('accepted', ({ delivery }) => settle(delivery, undefined))
  // The library tells of what was modified as released too.
  for (const refusal of ['rejected', 'released']) {
    sender.on(refusal, ({ delivery }) => settle(delivery, new Error(`${refusal} by the broker${detailOf(delivery)}`)))
  }
  const rejectAll = (why: Error) => {
    for (const { reject } of waiting.values()) reject(why)
  }
  lost.then(rejectAll, rejectAll)
  await new Promise((resolve) => sender.once('sendable', resolve))

  function settle(delivery: Delivery | undefined, outcome: Outcome): void {
    if (!delivery) return
    waiting.get(delivery)?.resolve(outcome)
    waiting.delete(delivery)
  }

  const sendOne = (event: QueuedEvent): Promise<Outcome> =>
    new Promise((resolve, reject) => waiting.set(sender.send(toMessage(event)), { resolve, reject }))

  /**
   * Sends events and answers what the broker said of each. The events of different orders are under way together, but
   * an order's one after the other: if one is refused, those after it are not sent. Rejects if the broker leaves any
   * without an answer for 10 s, which ends the connection, or the connection breaks.
   */
  async function send(events: QueuedEvent[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    const refused = new Set<string>()
    const timer = setTimeout(() => cut(new BrokerError(`no answer within ${answerMs / 1000} s`)), answerMs)
    try {
      for (const turn of turns(events)) {
        const sent = turn.map(async ([i, event]) => {
          outcomes[i] = refused.has(orderOf(event))
            ? new Error('An earlier event of it was refused')
            : await sendOne(event)
          if (outcomes[i]) refused.add(orderOf(event))
        })
        await Promise.all(sent)
      }
      return outcomes
    } finally {
      clearTimeout(timer)
    }
  }

  return { send }
}

export type EventSender = Awaited<ReturnType<typeof attachSender>>

const orderOf = ({ org_id, id }: QueuedEvent) => `${org_id}/${id}`

/** First each order's first event, then each one's second, and so on; with their places in the batch. */
function turns(events: QueuedEvent[]): [number, QueuedEvent][][] {
  const seen = new Map<string, number>()
  const found: [number, QueuedEvent][][] = []
  for (const entry of events.entries()) {
    const turn = seen.get(orderOf(entry[1])) ?? 0
    seen.set(orderOf(entry[1]), turn + 1)
    found[turn] = [...(found[turn] ?? []), entry]
  }
  return found
}

function detailOf(delivery: Delivery | undefined): string {
  const { description, condition } = delivery?.remote_state?.error ?? {}
  return description || condition ? `: ${description || condition}` : ''
}
