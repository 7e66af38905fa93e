import { setTimeout as delay } from 'node:timers/promises'
import { OrdersError } from '@orders/orders'
import type { ConcurrencyLimit, createSlots, Holder } from './concurrency.ts'

/** A read that waits for a slot, or runs, for one or more readers. */
type Scan = {
  key: string
  holder: Holder
  readers: number
  ending: AbortController
  result: PromiseWithResolvers<unknown>
  work: (signal: AbortSignal) => Promise<unknown>
  late: NodeJS.Timeout
}

type Options = {
  slots: ReturnType<typeof createSlots>
  /** Milliseconds that a scan may wait for a slot. */
  maxWaitMs?: number
  maxWaitingPerOrg?: number
  /** Milliseconds; an organisation rests as long as its last scan took, at most this long. */
  maxPauseMs?: number
}

/**
 * Runs reads that may visit all rows of an organisation, a few at a time. Others wait: each free slot goes to the
 * organisation with the fewest that run. An organisation that always has a scan waiting leaves half of the time to others.
 * Throws RATE_LIMITED and OVERLOADED.
 */
export function createScans({ slots, maxWaitMs = 2000, maxWaitingPerOrg = 20, maxPauseMs = 250 }: Options) {
  const queue: Scan[] = []
  const running = new Map<string, number>()
  const resting = new Map<string, number>()
  const runningOf = ({ holder }: Scan) => running.get(holder.orgId) ?? 0
  /** The limit for which a scan of the holder cannot begin now. */
  const blockedBy = (holder: Holder): ConcurrencyLimit | undefined =>
    slots.findFull('scan', holder) ?? (resting.has(holder.orgId) ? 'org-scans' : undefined)

  /**
   * Readers of the same key share one read if it has not begun. When the signal of each has aborted, it ends, also in
   * PostgreSQL.
   */
  async function read<T>(
    key: string,
    holder: Holder,
    work: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    if (signal?.aborted) throw gone()
    const scan = queue.find((other) => other.key === key) ?? add(key, holder, work)
    scan.readers++
    const leave = () => {
      if (--scan.readers === 0) end(scan)
    }
    signal?.addEventListener('abort', leave, { once: true })
    startNext()
    return scan.result.promise.finally(() => signal?.removeEventListener('abort', leave)) as Promise<T>
  }

  function add(key: string, holder: Holder, work: Scan['work']): Scan {
    const full = blockedBy(holder)
    const waiting = queue.filter((scan) => scan.holder.orgId === holder.orgId).length
    if (full && waiting >= maxWaitingPerOrg) throw slots.refuse(full)
    const late = setTimeout(() => refuse(scan), maxWaitMs)
    const scan: Scan = { key, holder, work, late, readers: 0, ending: new AbortController(), result: withResolvers() }
    queue.push(scan)
    return scan
  }

  function startNext(): void {
    for (;;) {
      const free = queue.filter(({ holder }) => !blockedBy(holder))
      const [first] = free.sort((a, b) => runningOf(a) - runningOf(b)) // the earliest of equals
      if (!first) return
      remove(first)
      run(first).catch(first.result.reject)
    }
  }

  async function run(scan: Scan): Promise<void> {
    const release = slots.take('scan', scan.holder)
    const { orgId } = scan.holder
    running.set(orgId, runningOf(scan) + 1)
    const began = performance.now()
    await Promise.try(scan.work, scan.ending.signal).then(scan.result.resolve, scan.result.reject)
    const pauseMs = Math.min(performance.now() - began, maxPauseMs)
    release()
    if (runningOf(scan) === 1) running.delete(orgId)
    else running.set(orgId, runningOf(scan) - 1)
    if (pauseMs > 0) resting.set(orgId, (resting.get(orgId) ?? 0) + 1)
    startNext()
    if (pauseMs === 0) return
    await delay(pauseMs, undefined, { ref: false })
    const left = (resting.get(orgId) ?? 1) - 1
    if (left === 0) resting.delete(orgId)
    else resting.set(orgId, left)
    startNext()
  }

  function refuse(scan: Scan): void {
    remove(scan)
    scan.result.reject(slots.refuse(blockedBy(scan.holder) ?? 'scans'))
  }

  function end(scan: Scan): void {
    if (queue.includes(scan)) {
      remove(scan)
      scan.result.reject(gone())
    } else scan.ending.abort(gone())
  }

  function remove(scan: Scan): void {
    clearTimeout(scan.late)
    queue.splice(queue.indexOf(scan), 1)
  }

  return { read }
}

function withResolvers(): PromiseWithResolvers<unknown> {
  const result = Promise.withResolvers<unknown>()
  result.promise.catch(() => {}) // readers have promises of their own
  return result
}

const gone = () => new OrdersError('BAD_REQUEST', 'The client closed the connection.')
