import { brokenConstraint, type Database, isRowFault, pgErrorCode } from '@orders/database'
import type { NewOrder, Order, OrderEventType } from '@orders/schema'
import { createBatcher } from './batcher.ts'
import { OrdersError } from './errors.ts'
import { assertSameContent, byId, newOrder, toRow } from './new-order.ts'
import { metadataBytes, type OrderQuota } from './order-quota.ts'
import {
  type Claim,
  completeClaims,
  insertAnsweredClaim,
  type NewOrderRow,
  type PlacedContent,
  type PlacedRow,
  placeClaimedOrders,
  placeOrders,
  type StoredAnswer,
  selectConflicts,
  selectProjectIds,
} from './placement-repository.ts'
import { retryingConflicts } from './retry.ts'
import { type OrderRow, toOrder } from './row.ts'

type Placement = NewOrderRow & { claim: Claim | undefined }

/** `answer` is there if the request had an Idempotency-Key; with `replayed`, it was given before and there is no order. */
export type Placed =
  | { replayed: false; created: boolean; order: Order; answer: StoredAnswer | undefined }
  | { replayed: true; answer: StoredAnswer }

/** Undefined: the key or the id is there already. */
type BatchOutcome = Placed | 'unknown project' | undefined

type Options = {
  database: Database
  quota: OrderQuota
  /** ISO 4217 code of orders that name none. */
  defaultCurrency: string
  /** What will be answered for an order that was created, or that was there already with the same content. */
  answerFor: (order: Order, created: boolean) => StoredAnswer
  onBatch: (size: number) => void
  onEvents: (type: OrderEventType, count: number) => void
}

export type Conflict = OrderRow & {
  fingerprint: Buffer | null
  answer: StoredAnswer | null
  placed: PlacedContent | null
}

const placeAttempts = 3
const lockNotAvailable = '55P03'
/**
 * How long a statement waits for another transaction that holds a key, an id or the organisation, which passes soon: a
 * batch must not keep the requests that share it, and no statement its connection.
 */
const lockTimeoutMs = { single: 250, batch: 100 }

/** Placing of orders: many requests share one statement and one commit, and each gets its own answer after it. */
export function createPlacing({ database, quota, defaultCurrency, answerFor, onBatch, onEvents }: Options) {
  const places = createBatcher<Placement, BatchOutcome>({
    run: retryingConflicts(placeBatch),
    // An organisation that is gone rejects all of its orders.
    isItemFault: (error) => isRowFault(error) && brokenConstraint(error) !== 'orders_org_fkey',
    evenly: true,
    onBatch,
  })
  const conflicts = createBatcher<Placement, Conflict>({
    run: (orgId, items) => database.readInTenant<Conflict>(orgId, selectConflicts(orgId, items)),
    concurrency: 2,
  })

  let unsettled = 0
  const onIdle: (() => void)[] = []

  /**
   * Places an order once: a repeated key replays its first answer, a repeated id with the same content meets its order.
   * Throws AMOUNT_INVALID, PROJECT_NOT_FOUND, ORG_NOT_FOUND, ORDER_ID_TAKEN, IDEMPOTENCY_MISMATCH,
   * IDEMPOTENCY_IN_FLIGHT, OVERLOADED, QUOTA_EXCEEDED.
   */
  async function placeOrder(orgId: string, order: NewOrder, claim?: Claim): Promise<Placed> {
    unsettled++
    try {
      return await placeOne(orgId, { ...toRow(order, defaultCurrency), claim }, metadataBytes(order.metadata))
    } catch (error) {
      throw refusalOf(error) ?? error
    } finally {
      if (--unsettled === 0) for (const resolve of onIdle.splice(0)) resolve()
    }
  }

  async function placeOne(orgId: string, placement: Placement, bytes: number): Promise<Placed> {
    const exceeded = await quota.take(orgId, 1, bytes)
    if (exceeded) {
      const known = await settle(orgId, placement)
      if (known) return known
      throw exceeded
    }
    for (let attempt = 0; attempt < placeAttempts; attempt++) {
      const placed = await places.add(orgId, placement)
      if (placed && placed !== 'unknown project') return placed
      const known = await settle(orgId, placement)
      if (known) return known
      if (placed) throw projectNotFound()
    }
    throw unanswered()
  }

  async function placeBatch(orgId: string, batch: Placement[]): Promise<BatchOutcome[]> {
    const hasUnknownProject = await findUnknownProjects(database, orgId, batch)
    const firsts = firstOfEach(batch.filter((item) => !hasUnknownProject(item)))
    const items = [...firsts].sort(byId)
    const placed = readPlaced(items.length > 0 ? await insert(orgId, items, batch.length > 1) : [], items)
    onEvents('orders.order.placed.v1', placed.count)
    return batch.map((item) => {
      if (hasUnknownProject(item)) return 'unknown project'
      return firsts.has(item) && placed.has(item) ? placedNow(orgId, item, placed.created_at) : undefined
    })
  }

  function insert(orgId: string, items: Placement[], isShared: boolean) {
    const limits = { lockTimeoutMs: isShared ? lockTimeoutMs.batch : lockTimeoutMs.single, inTurn: false }
    if (items.every(({ claim }) => !claim)) {
      return database.runInTenant<PlacedRow>(orgId, { ...placeOrders(orgId, items), ...limits })
    }
    return database.runInTenant<PlacedRow>(orgId, { ...placeClaimedOrders(orgId, items), ...limits }, (rows) => {
      const placed = readPlaced(rows, items)
      const answered: { claim: Claim; answer: StoredAnswer }[] = []
      const unplaced: Claim[] = []
      for (const item of items) {
        if (!item.claim) continue
        if (!placed.has(item)) unplaced.push(item.claim)
        else answered.push({ claim: item.claim, answer: answerFor(newOrder(orgId, item, placed.created_at), true) })
      }
      return completeClaims(orgId, answered, unplaced)
    })
  }

  function placedNow(orgId: string, item: Placement, time: string): Placed {
    const order = newOrder(orgId, item, time)
    return { replayed: false, created: true, order, answer: item.claim && answerFor(order, true) }
  }

  /** The answer to a request whose key or id is there already; undefined if neither is there any more. */
  async function settle(orgId: string, item: Placement): Promise<Placed | undefined> {
    const found = await conflicts.add(orgId, item)
    const { claim } = item
    if (claim && found.answer && found.fingerprint) {
      if (!claim.fingerprint.equals(found.fingerprint)) {
        throw new OrdersError('IDEMPOTENCY_MISMATCH', 'This Idempotency-Key was used before with another body.')
      }
      return { replayed: true, answer: found.answer }
    }
    if (!found.id || !found.placed) return undefined
    assertSameContent(item, found.placed)
    const order = toOrder(found)
    if (!claim) return { replayed: false, created: false, order, answer: undefined }
    const answer = answerFor(order, false)
    const kept = await database.runInTenant(orgId, insertAnsweredClaim(orgId, claim, answer))
    return kept.length > 0 ? { replayed: false, created: false, order, answer } : settle(orgId, item)
  }

  return {
    placeOrder,
    /** Resolves when everything that was placed has been answered. */
    idle: () => (unsettled === 0 ? Promise.resolve() : new Promise<void>((resolve) => onIdle.push(resolve))),
    waiting: places.waiting,
  }
}

/** Which of `orders` a statement has placed. */
export function readPlaced([row]: PlacedRow[], orders: NewOrderRow[]) {
  const ids = row?.ids ? new Set(row.ids) : undefined
  return {
    created_at: row?.created_at ?? '',
    count: ids ? ids.size : orders.length,
    has: ({ id }: NewOrderRow) => !ids || ids.has(id),
  }
}

/** A batch holds each id and each key once; what repeats one waits for the outcome of the first. */
function firstOfEach(batch: Placement[]): Set<Placement> {
  const ids = new Set<string>()
  const keys = new Set<string>()
  const firsts = new Set<Placement>()
  for (const item of batch) {
    const key = item.claim && `${item.claim.route} ${item.claim.principal} ${item.claim.key}`
    if (ids.has(item.id) || (key && keys.has(key))) continue
    ids.add(item.id)
    if (key) keys.add(key)
    firsts.add(item)
  }
  return firsts
}

export const projectNotFound = () =>
  new OrdersError('PROJECT_NOT_FOUND', 'The organisation has no project of this project_id.')

/** Which orders name a project that the organisation lacks. Found before the insert, as one of them would fail it as a whole. */
export async function findUnknownProjects(database: Database, orgId: string, orders: NewOrderRow[]) {
  const named = new Set(orders.flatMap(({ project_id }) => project_id ?? []))
  const rows =
    named.size > 0 ? await database.readInTenant<{ id: string }>(orgId, selectProjectIds(orgId, [...named])) : []
  const known = new Set(rows.map(({ id }) => id))
  return ({ project_id }: NewOrderRow): boolean => project_id !== null && !known.has(project_id)
}

export const unanswered = () =>
  new OrdersError('IDEMPOTENCY_IN_FLIGHT', 'The first request with this key or id has not been answered yet.')

/** What a client is told of a row that the database refused; undefined if it is not the row's fault. */
export function refusalOf(error: unknown): OrdersError | undefined {
  if (pgErrorCode(error) === lockNotAvailable) return unanswered()
  const constraint = brokenConstraint(error)
  if (constraint === 'orders_project_fkey') return projectNotFound()
  if (constraint === 'orders_org_fkey') return new OrdersError('ORG_NOT_FOUND', 'The organisation has been deleted.')
  return undefined
}
