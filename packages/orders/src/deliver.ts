import type { Database } from '@orders/database'
import { orderCloudEvent, testCloudEvent } from './cloud-event.ts'
import {
  type ClaimedDelivery,
  claimDeliveries,
  type DeliveryOutcome,
  finishDelivery,
  selectDeliveryLag,
} from './delivery-repository.ts'
import { eventIdOf, messageIdOf } from './message-id.ts'
import { type OrderRow, orderColumns } from './row.ts'

/** An Ed25519 private key, or a secret to share: 32 bytes either way. */
export type WebhookSecret = { kind: 'ed25519' | 'hmac'; key: Buffer }

/** status is null if there was no answer; `reply` is at most 4 kB of it. */
export type SendResult = {
  status: number | null
  reply: string
  duration_ms: number
  retry_after_seconds?: number
  error?: string
}

/** Sends a message, signed with each of the secrets. `timestamp` is in seconds. */
export type Sender = (message: {
  url: string
  secrets: WebhookSecret[]
  id: string
  timestamp: number
  body: string
}) => Promise<SendResult>

type Options = {
  /** Of a worker: its role sees all organisations. */
  database: Database
  send: Sender
  onOutcome?: (state: DeliveryOutcome['state']) => void
  /** A webhook was turned off, and its owners ought to hear of it. */
  onDisabled?: (webhook: { org_id: string; webhook_id: string; reason: string }) => void
  /** Something went wrong after a message was sent: it may be sent again when its lease has run out. */
  onFailure?: (error: Error) => void
  /** A send has ended: there may be more to do than when `deliver` last looked. */
  onRoom?: () => void
  /** From 0 to 1. */
  random?: () => number
  /** Sends in flight in this process; receivers that fail take half of them at most. */
  concurrency?: number
}

/** Pauses in seconds before a delivery that failed is tried again; after the last one it has failed for good. */
export const retryPauses = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]

const jitter = 0.2
const longestRetryAfter = 86_400
const failingDays = 5
const perWebhook = 4
const perOrg = 20
// Longer than a send may take, with room for writing down what came of it.
const longestSendMs = 30_000
const leaseSeconds = 60
const claimLock = 7_106_115_002
const recordPauses = [50, 200, 1000, 3000]

/**
 * Delivers to webhooks: at least once, in no order. Any number of processes may do so side by side; what one held when it
 * was killed is sent again when its lease has run out.
 */
export function createDelivering(options: Options) {
  const { database, send, onOutcome, onDisabled, onFailure, onRoom } = options
  const { random = Math.random, concurrency = 200 } = options
  const inFlight = new Map<Promise<void>, { failing: boolean }>()

  /** Starts to send what is due, as far as there is room, and does not wait for it. Returns how many it has started. */
  async function deliver(): Promise<number> {
    while (inFlight.size >= concurrency) await Promise.race(inFlight.keys())
    const failing = [...inFlight.values()].filter((it) => it.failing).length
    const claimed = await database.runExclusively<ClaimedDelivery>(
      claimLock,
      claimDeliveries({
        room: concurrency - inFlight.size,
        failingRoom: Math.max(0, (concurrency >> 1) - failing),
        leaseSeconds,
        perWebhook,
        perOrg,
      }),
    )
    for (const delivery of claimed) start(delivery)
    return claimed.length
  }

  function start(delivery: ClaimedDelivery): void {
    const sending = attempt(delivery)
      .catch((error) => onFailure?.(error as Error))
      .finally(() => {
        inFlight.delete(sending)
        onRoom?.()
      })
    inFlight.set(sending, delivery)
  }

  async function attempt(delivery: ClaimedDelivery): Promise<void> {
    const outcome = outcomeOf(await sendOut(delivery), delivery.attempts, random)
    const statement = finishDelivery(delivery, outcome, failingDays)
    const [changed] = await insistently(() => database.runGlobal<{ disabled_reason: string | null }>(statement))
    onOutcome?.(outcome.state)
    const { org_id, webhook_id } = delivery
    if (changed?.disabled_reason) onDisabled?.({ org_id, webhook_id, reason: changed.disabled_reason })
  }

  async function sendOut(delivery: ClaimedDelivery): Promise<SendResult> {
    const started = performance.now()
    const noAnswer = (error: string): SendResult => {
      return { status: null, reply: '', duration_ms: performance.now() - started, error }
    }
    const { promise: late, resolve } = Promise.withResolvers<SendResult>()
    const timer = setTimeout(() => resolve(noAnswer('There was no answer in time.')), longestSendMs)
    return Promise.race([send(messageOf(delivery)), late])
      .catch((error: Error) => noAnswer(error.message))
      .finally(() => clearTimeout(timer))
  }

  /** How long the oldest delivery to a receiver that works has been due, and how many receivers fail. */
  async function deliveryLag(): Promise<{ failing: number; oldest_seconds: number }> {
    const [row] = await database.runGlobal<{ failing: number; oldest_seconds: number }>(selectDeliveryLag)
    return row as { failing: number; oldest_seconds: number }
  }

  return {
    deliver,
    deliveryLag,
    /** Resolves when what was started has been sent and written down. */
    idle: async () => void (await Promise.all(inFlight.keys())),
  }
}

function messageOf(delivery: ClaimedDelivery) {
  const { org_id, delivery_id, webhook_id, order_id, sequence, event_type, url, signature, key, previous_key } =
    delivery
  const ids = { id: delivery_id, org_id, order_id, sequence }
  const event = { id: eventIdOf(ids), orgId: org_id, type: event_type, time: delivery.time }
  const keys = previous_key ? [key, previous_key] : [key]
  return {
    url,
    secrets: keys.map((it) => ({ kind: signature, key: it })),
    id: messageIdOf(ids),
    timestamp: delivery.claimed_at,
    body: JSON.stringify(
      order_id === null ? testCloudEvent(event, webhook_id) : orderCloudEvent(event, orderOf(delivery)),
    ),
  }
}

const orderOf = (delivery: ClaimedDelivery) =>
  Object.fromEntries(orderColumns.map((column) => [column, delivery[`order_${column}`]])) as OrderRow

/** What an answer means to a delivery that was tried `attempts` times before. */
function outcomeOf(
  { status, reply, duration_ms, retry_after_seconds = 0, error }: SendResult,
  attempts: number,
  random: () => number,
): DeliveryOutcome {
  const isDelivered = status !== null && status >= 200 && status < 300
  const gone = status === 410
  const pause = gone || isDelivered ? undefined : retryPauses[attempts]
  const varied = (pause ?? 0) * (1 - jitter + 2 * jitter * random())
  return {
    state: isDelivered ? 'delivered' : pause === undefined ? 'failed' : 'pending',
    pauseSeconds: Math.max(varied, Math.min(longestRetryAfter, retry_after_seconds || 0)),
    gone,
    status,
    reply: storable(reply),
    error: error === undefined ? null : storable(error),
    duration_ms: Math.round(duration_ms),
  }
}

/** PostgreSQL keeps no NUL in a text, and no half of a character. */
const storable = (text: string) => text.replaceAll('\0', '').toWellFormed()

/** Tries again for as long as the lease leaves time: what is not written down is sent twice. */
async function insistently<T>(work: () => Promise<T>): Promise<T> {
  for (const pause of recordPauses) {
    try {
      return await work()
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
  return work()
}
