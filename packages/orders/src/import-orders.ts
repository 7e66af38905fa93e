import { type Database, isUnavailable } from '@orders/database'
import type { ImportRefusal, NewOrder, OrderEventType } from '@orders/schema'
import { createBatcher } from './batcher.ts'
import { OrdersError } from './errors.ts'
import { createGroupPlacing, type Outcome } from './import-groups.ts'
import { createImportRoom } from './import-room.ts'
import { toRow } from './new-order.ts'
import type { OrderQuota } from './order-quota.ts'
import type { NewOrderRow } from './placement-repository.ts'
import type { Quotas } from './quotas.ts'
import { repeating } from './retry.ts'

/** An order with the line it stands on (where it begins), or why that line holds none. */
export type ImportItem = { line: number } & ({ order: NewOrder & { id: string } } | { refusal: OrdersError })

/** Where an import stands: every order up to `through_line` is placed or refused. Only `refused` is new each time. */
export type ImportProgress = {
  refused: ImportRefusal[]
  through_line: number
  lines: number
  placed_count: number
  existing_count: number
  refused_count: number
}

type Result = { outcomes: Outcome[] } | { error: unknown }
type Group = { items: ImportItem[]; ids: Set<string>; result: Promise<Result> }

type Options = {
  database: Database
  quota: OrderQuota
  /** ISO 4217 code of orders that name none. */
  defaultCurrency: string
  onEvents: (type: OrderEventType, count: number) => void
  quotas?: Quotas
  /** Pauses in milliseconds before a line that met no database is tried again. */
  retryPauses?: number[]
}

const groupSize = 500
const groupsInFlight = 2
const settled = 'settled'

/** Placing of many orders at a time, on connections that requests for single orders do not wait for. */
export function createImporting(options: Options) {
  const { database, quota, defaultCurrency, onEvents, retryPauses = [250, 500, 1000, 2000, 4000] } = options
  const again = <T>(work: () => Promise<T>) => repeating(work, retryPauses, mayPass)
  const placeRows = createGroupPlacing(database, onEvents)
  const reserve = createImportRoom({ database, quota, quotas: options.quotas, again })
  // An item is a whole group here: all imports of this process take turns, an organisation after the other.
  const turns = createBatcher<NewOrderRow[], Outcome[]>({
    run: (orgId, groups) => Promise.all(groups.map((rows) => placeRows(orgId, rows))),
    maxBatch: 1,
    maxWait: 30_000,
    concurrency: groupsInFlight,
    perLane: groupsInFlight,
  })

  /**
   * Places orders while `source` is still being read, at most two groups at a time, and tells after each group how far
   * it is. An id that is there already with the same content counts as existing; in one import the first line with an
   * id wins. A database that is away is tried again for 8 s. Throws QUOTA_EXCEEDED, and what `source` throws, after
   * everything that it gave has been settled; and the database's error, after which the lines behind `through_line` may be
   * placed or not.
   */
  async function* importOrders(orgId: string, source: AsyncIterable<ImportItem[]>): AsyncGenerator<ImportProgress> {
    const counts = { lines: 0, placed_count: 0, existing_count: 0, refused_count: 0 }
    const running: Group[] = []
    let pending: ImportItem[] = []
    // In the order of the lines, so that none is placed behind one that the quota rejects.
    let reserved = Promise.resolve()

    async function settleFirst(): Promise<ImportProgress> {
      const { items, result } = running.shift() as Group
      const ended = await result
      if ('error' in ended) {
        await Promise.all(running.map((group) => group.result))
        throw ended.error
      }
      const refused: ImportRefusal[] = []
      ended.outcomes.forEach((outcome, i) => {
        const { line } = items[i] as ImportItem
        if (outcome === 'placed') counts.placed_count++
        else if (outcome === 'existing') counts.existing_count++
        else refused.push({ line, error: outcome.code, message: outcome.message })
      })
      counts.lines += items.length
      counts.refused_count += refused.length
      return { refused, through_line: items.at(-1)?.line ?? 0, ...counts }
    }

    function start() {
      const items = pending
      pending = []
      const orders = items.flatMap((item) => ('order' in item ? [item.order] : []))
      reserved = reserved.then(() => reserve(orgId, items.length, orders))
      running.push(startGroup(orgId, items, reserved))
    }

    let failure: { error: unknown } | undefined
    const reading = source[Symbol.asyncIterator]()
    const read = () =>
      reading.next().catch((error: unknown) => {
        failure = { error }
      })
    try {
      for (let next = read(); ; ) {
        // What has been settled is told while the source keeps us waiting.
        const first = await Promise.race([
          next,
          ...running.slice(0, 1).map(({ result }) => result.then((): typeof settled => settled)),
        ])
        if (first === settled) {
          yield await settleFirst()
          if (running.length === 0 && pending.length > 0) start()
          continue
        }
        if (!first || first.done) break
        pending.push(...first.value)
        if (running.length === 0 || pending.length >= groupSize) {
          while (running.length === groupsInFlight || running.some((group) => shareAnId(group, pending))) {
            yield await settleFirst()
          }
          start()
        }
        next = read()
      }
      while (running.length > 0) yield await settleFirst()
      if (pending.length > 0) start()
      while (running.length > 0) yield await settleFirst()
      if (failure) throw failure.error
    } finally {
      await reading.return?.()
    }
  }

  function startGroup(orgId: string, items: ImportItem[], reserved: Promise<void>): Group {
    const ids = new Set(items.flatMap((item) => ('order' in item ? [item.order.id] : [])))
    const result = reserved
      .then(() => placeGroup(orgId, items))
      .then(
        (outcomes) => ({ outcomes }),
        (error: unknown) => ({ error }),
      )
    return { items, ids, result }
  }

  async function placeGroup(orgId: string, items: ImportItem[]): Promise<Outcome[]> {
    const prepared = items.map((item) => ('order' in item ? rowOf(item.order) : item.refusal))
    const rows = prepared.filter((row): row is NewOrderRow => !(row instanceof OrdersError))
    const placed = (rows.length > 0 ? await again(() => turns.add(orgId, rows)) : []).values()
    return prepared.map((row) => (row instanceof OrdersError ? row : (placed.next().value as Outcome)))
  }

  function rowOf(order: NewOrder): NewOrderRow | OrdersError {
    try {
      return toRow(order, defaultCurrency)
    } catch (error) {
      if (error instanceof OrdersError) return error
      throw error
    }
  }

  return { importOrders, idle: turns.idle }
}

function shareAnId({ ids }: Group, items: ImportItem[]): boolean {
  return items.some((item) => 'order' in item && ids.has(item.order.id))
}

/** True for what passes by itself: the database is away, or too many imports wait for their turn. */
function mayPass(error: unknown): boolean {
  return isUnavailable(error) || (error instanceof OrdersError && /^(OVERLOADED|TIMED_OUT)$/.test(error.code))
}
