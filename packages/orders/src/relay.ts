import { type Database, isRowFault, isUnavailable, type Statement } from '@orders/database'
import {
  buryEvent,
  finishBatch,
  type Lane,
  leaseLanes,
  type Moved,
  moveEvents,
  postponeEvent,
  type QueuedEvent,
  selectLag,
  selectQueued,
} from './relay-repository.ts'

/** What the service does about orders that were placed, and who is told that it was done. */
export type Effect = { of: (orgId: string, orderIds: string[]) => Statement; done: (rows: object[]) => void }

/** What became of one event: undefined if it was handed on, or why not. */
export type Outcome = Error | undefined

type Options = {
  /** Of a worker: its role sees all organisations. */
  database: Database
  /**
   * Hands events on, oldest first, and answers an outcome each in their order. Rejects if none of them can be, for now.
   * What it was given before may come again.
   */
  handOn: (events: QueuedEvent[]) => Promise<Outcome[]>
  /**
   * Where nobody is given events, and only those of placed orders matter: what these cause, in the transaction that moves
   * them. If it fails, they are queued and handed on.
   */
  effect?: Effect | undefined
  onOutcome?: (outcome: 'handed-on' | 'postponed' | 'buried', count: number) => void
  /** Pauses in milliseconds before an event that failed is tried again; after the last one it is given up. */
  retryPauses?: number[]
  batch?: number
}

export type Lag = { outbox: number; queue: number; dead_letters: number; oldest_seconds: number }

const moveAtOnce = 500
// Each costs a look-up. The next move continues with the organisations that this one has not visited.
const orgsAtOnce = 500
const firstOrg = '00000000-0000-0000-0000-000000000000'
// Far longer than a batch may take: every statement and every hand-over has a limit of its own.
const leaseSeconds = 30

/**
 * Lets events leave: at least once, an order's in order. Any number of processes may do so side by side; what one held
 * when it was killed is handed on by another one when its lease has run out.
 */
export function createRelay(options: Options) {
  const { database, handOn, effect, onOutcome, retryPauses = [1000, 5000, 15_000, 60_000], batch = 500 } = options
  // Many, so that a batch is large even if its events are spread over all lanes: each costs some commits.
  const lanesAtOnce = Math.max(8, batch >> 4)
  let fromOrg = firstOrg
  let rowsOfOrg = moveAtOnce

  /** Moves events from the outbox to the log, and has the effect or queues them. Returns how many. */
  async function move(): Promise<number> {
    if (!effect) return settle(await database.runGlobal<Moved>(next('all')))
    try {
      return await moveWith(effect)
    } catch (error) {
      if (isUnavailable(error) && !isRowFault(error)) throw error
      return settle(await database.runGlobal<Moved>(next('placed')))
    }
  }

  const next = (queued: 'all' | 'placed' | 'none') =>
    moveEvents(moveAtOnce, queued, { fromOrg, orgs: orgsAtOnce, rows: rowsOfOrg })

  /** Sets where the next move begins, and how many rows it reads. Returns how many events were moved; 0 only if none waits. */
  function settle(moved: Moved[]): number | Promise<number> {
    const isRoundOver = fromOrg !== firstOrg && moved.length === 0
    fromOrg = moved[0]?.continue_from ?? firstOrg
    // A row has one event or hundreds. Reading 500 rows to move one costs as much as the rest of the move.
    rowsOfOrg = Math.min(moveAtOnce, 8 + 2 * moved.length)
    return isRoundOver ? move() : moved.reduce((sum, { moved }) => sum + moved, 0)
  }

  async function moveWith({ of, done }: Effect): Promise<number> {
    const { rows, following } = await database.runGlobalThen<Moved, object>(next('none'), (moved) =>
      [...placedByOrg(moved)].map(([orgId, ids]) => ({ orgId, statement: of(orgId, ids) })),
    )
    for (const answer of following) done(answer)
    onOutcome?.(
      'handed-on',
      rows.reduce((sum, { placed }) => sum + placed.length, 0),
    )
    return settle(rows)
  }

  /** Hands on a batch. Returns how many events it has dealt with; none may mean that others hold all the lanes. */
  async function relay(): Promise<number> {
    const held = await database.runGlobal<Lane>(leaseLanes(lanesAtOnce, leaseSeconds))
    if (held.length === 0) return 0
    const done: number[] = []
    try {
      const events = inTurn(await database.runGlobal<QueuedEvent>(selectQueued(held, Math.ceil(batch / held.length))))
      if (events.length === 0) return 0
      const outcomes = await handOn(events)
      const failed = new Set<string>()
      for (const [i, event] of events.entries()) {
        const error = outcomes[i]
        const order = orderOf(event)
        if (!error) done.push(event.queue_id)
        // An order's later events wait behind the first that failed, and have no attempt to their name.
        else if (!failed.has(order)) await putOff(event, error)
        if (error) failed.add(order)
      }
      onOutcome?.('handed-on', done.length)
      return events.length
    } finally {
      await database.runGlobal(finishBatch(held, done))
    }
  }

  async function putOff({ queue_id, attempts }: QueuedEvent, { message }: Error): Promise<void> {
    const pause = retryPauses[attempts]
    onOutcome?.(pause === undefined ? 'buried' : 'postponed', 1)
    const afterMs = (pause ?? 0) * (0.8 + Math.random() * 0.4)
    await database.runGlobal(
      pause === undefined ? buryEvent(queue_id, message) : postponeEvent(queue_id, message, afterMs),
    )
  }

  /** How much waits, and how long the oldest has. */
  async function lag(): Promise<Lag> {
    const [row] = await database.runGlobal<Lag>(selectLag)
    return row as Lag
  }

  return { move, relay, lag }
}

/** The events whose turn it is: none while an earlier one of its order waits. */
function inTurn(events: QueuedEvent[]): QueuedEvent[] {
  const waiting = new Set<string>()
  return events.filter((event) => {
    if (event.waits) waiting.add(orderOf(event))
    return !waiting.has(orderOf(event))
  })
}

function placedByOrg(moved: Moved[]): Map<string, string[]> {
  const byOrg = new Map<string, string[]>()
  for (const { org_id, placed } of moved) {
    const ids = byOrg.get(org_id)
    if (ids) ids.push(...placed)
    else if (placed.length > 0) byOrg.set(org_id, [...placed])
  }
  return byOrg
}

const orderOf = ({ org_id, id }: QueuedEvent) => `${org_id} ${id}`
