import { setImmediate as endOfTurn } from 'node:timers/promises'
import { bulkhead } from 'cockatiel'
import { OrdersError } from './errors.ts'

type Waiting<Item, Result> = {
  item: Item
  since: number
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

type Options<Item, Result> = {
  /** Answers a batch of one lane, a result or an error an item, in the items' order. */
  run: (lane: string, items: Item[]) => Promise<(Result | Error)[]>
  /** True if an error of `run` is the fault of some item: then halves of the batch are run, see `repair` below. */
  isItemFault?: (error: unknown) => boolean
  maxBatch?: number
  maxWaiting?: number
  /** Milliseconds that a request may wait for its run to start; with the query's own limit, this bounds its answer. */
  maxWait?: number
  /** Batches in flight over all lanes; a lane has one at a time unless `perLane` says more. */
  concurrency?: number
  perLane?: number
  /**
   * Divides the requests of a busy lane evenly over its batches, those in flight and the next: while the database works
   * on one, this process works on another. Else a batch takes all that wait, which is right if a batch costs the same
   * however large it is.
   */
  evenly?: boolean
  onBatch?: (size: number) => void
}

const none = { batches: 0, items: 0 }

export type Batcher<Item, Result> = ReturnType<typeof createBatcher<Item, Result>>

/**
 * Gathers the requests of a lane (an organisation) that arrive while the lane's batch is in flight, and runs them
 * together. A request that meets an idle lane leaves at the end of the same turn of the event loop: it waits only for
 * those that arrived with it. Lanes take turns, so that a busy one delays nobody else by more than a batch.
 */
export function createBatcher<Item, Result>(options: Options<Item, Result>) {
  const { run, isItemFault = () => false, maxBatch = 500, maxWaiting = 10_000, maxWait = 3000, onBatch } = options
  const { concurrency = 4, perLane = 1, evenly = false } = options
  const queues = new Map<string, Waiting<Item, Result>[]>() // in the order of their turns
  const inFlight = new Map<string, { batches: number; items: number }>()
  const repairs = bulkhead(1, Number.POSITIVE_INFINITY) // a batch of each lane at most waits
  let running = 0
  let waiting = 0
  let scheduled = false
  const onIdle: (() => void)[] = []

  function add(lane: string, item: Item): Promise<Result> {
    if (waiting >= maxWaiting) {
      return Promise.reject(new OrdersError('OVERLOADED', 'Too many requests are waiting for the database.'))
    }
    waiting++
    return new Promise((resolve, reject) => {
      const entry = { item, since: performance.now(), resolve, reject }
      const queue = queues.get(lane)
      if (queue) queue.push(entry)
      else queues.set(lane, [entry])
      schedule()
    })
  }

  function schedule() {
    if (scheduled || running >= concurrency) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      startBatches()
    })
  }

  /** `answered` have just left `lane`: if they are many, as many will be back soon. */
  function startBatches(answered = 0, answeredLane?: string) {
    for (const [lane, queue] of queues) {
      if (running >= concurrency) return
      const { batches, items } = inFlight.get(lane) ?? none
      if (batches >= perLane) continue
      queues.delete(lane)
      const others = items + (lane === answeredLane ? answered : 0)
      const share = evenly && others > 0 ? Math.ceil((queue.length + others) / (perLane + 1)) : queue.length
      const size = Math.min(share, maxBatch)
      if (queue.length > size) queues.set(lane, queue.splice(size)) // the rest goes to the end of the line
      start(lane, queue).catch((error) => {
        for (const { reject } of queue) reject(error)
      })
    }
  }

  async function start(lane: string, batch: Waiting<Item, Result>[]) {
    count(lane, 1, batch.length)
    running++
    waiting -= batch.length
    const fresh = rejectLate(batch)
    onBatch?.(fresh.length)
    const outcome = await runOnce(lane, fresh)
    await endOfTurn() // requests that came in the same turn as the answer join the next batch
    running--
    if (outcome === 'split') {
      startBatches()
      await repairs.execute(() => repair(lane, fresh))
    }
    count(lane, -1, -batch.length)
    startBatches(batch.length, lane) // before the answers go out: the database works while this process writes them
    if (outcome !== 'split') outcome()
    if (inFlight.size === 0 && waiting === 0) for (const resolve of onIdle.splice(0)) resolve()
  }

  function count(lane: string, moreBatches: number, moreItems: number) {
    const { batches, items } = inFlight.get(lane) ?? none
    if (batches + moreBatches === 0) inFlight.delete(lane)
    else inFlight.set(lane, { batches: batches + moreBatches, items: items + moreItems })
  }

  /** A batch is in the order of arrival: if its first entry is in time, all are. */
  function rejectLate(batch: Waiting<Item, Result>[]): Waiting<Item, Result>[] {
    const earliest = performance.now() - maxWait
    const inTime = batch.findIndex(({ since }) => since >= earliest)
    if (inTime === 0) return batch
    const late = inTime < 0 ? batch : batch.slice(0, inTime)
    for (const { reject } of late) reject(new OrdersError('TIMED_OUT', 'The database was too slow for this request.'))
    return batch.slice(late.length)
  }

  /** Runs a batch, and returns what tells each of its requests the outcome, or that its halves are to be run. */
  async function runOnce(lane: string, batch: Waiting<Item, Result>[]): Promise<(() => void) | 'split'> {
    if (batch.length === 0) return () => {}
    try {
      const items = batch.map(({ item }) => item)
      const results = await run(lane, items)
      return () =>
        batch.forEach(({ resolve, reject }, i) => {
          const result = results[i]
          if (result instanceof Error) reject(result)
          else resolve(result as Result)
        })
    } catch (error) {
      if (batch.length > 1 && isItemFault(error)) return 'split'
      return () => {
        for (const { reject } of batch) reject(error)
      }
    }
  }

  /**
   * Runs the halves of a batch with a faulty item, down to that item. One batch at a time of all lanes, which takes no room
   * of those that are whole, so that a lane with many faults, or with a lock on all its items, delays only such batches.
   */
  async function repair(lane: string, batch: Waiting<Item, Result>[]): Promise<void> {
    const middle = batch.length >> 1
    for (const half of [batch.slice(0, middle), batch.slice(middle)]) {
      const fresh = rejectLate(half)
      const outcome = await runOnce(lane, fresh)
      if (outcome === 'split') await repair(lane, fresh)
      else outcome()
    }
  }

  return {
    add,
    /** Requests that are not yet part of a batch. */
    waiting: () => waiting,
    /** Resolves when everything that was added has been answered. */
    idle: () =>
      inFlight.size === 0 && waiting === 0 ? Promise.resolve() : new Promise<void>((resolve) => onIdle.push(resolve)),
  }
}
