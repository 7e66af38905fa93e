import { type Database, isRowFault, isUnavailable, type Statement } from '@orders/database'
import type { OrderEventType } from '@orders/schema'
import { transitions } from './change-order.ts'
import type { Effect, Outcome } from './relay.ts'
import { retryingConflicts } from './retry.ts'
import { outboxRow } from './row.ts'

/** What processing needs of an event: the order, and its version after the change. */
export type OrderRef = { org_id: string; id: string; version: number; type: OrderEventType }

type Options = { database: Database; onEvents: (type: OrderEventType, count: number) => void }

/** What the service does about its own events: an order that was placed is confirmed. */
export function createProcessing({ database, onEvents }: Options) {
  // Out of turn, as the relay's lanes bound how many run at a time.
  const confirm = retryingConflicts(async (orgId: string, events: OrderRef[]) =>
    done(await database.runInTenant(orgId, { ...confirmPlaced(orgId, events), inTurn: false })),
  )

  function done([row]: object[]) {
    const { confirmed } = row as { confirmed: number }
    if (confirmed > 0) onEvents(transitions.confirm.event, confirmed)
  }

  /** The same effect, where the events are moved. */
  const effect: Effect = { of: confirmMoved, done }

  /**
   * Takes events of any organisations in any order, and has its effect once however often one comes. Answers an outcome
   * each; rejects if the database is away.
   */
  async function processEvents(events: OrderRef[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = events.map(() => undefined)
    const placed = events.flatMap((event, i) => (event.type === 'orders.order.placed.v1' ? [{ ...event, i }] : []))
    const byOrg = Map.groupBy(placed, ({ org_id }) => org_id)
    for (const [orgId, group] of byOrg) {
      for (const { i, error } of await attempt(orgId, group)) outcomes[i] = error
    }
    return outcomes
  }

  /** Halves what the database refuses, until only the event that is to blame is left. */
  async function attempt<Ref extends OrderRef>(orgId: string, events: Ref[]): Promise<(Ref & { error: Error })[]> {
    try {
      await confirm(orgId, events)
      return []
    } catch (error) {
      if (isUnavailable(error) && !isRowFault(error)) throw error
      const [first] = events
      if (events.length === 1 && first) return [{ ...first, error: error as Error }]
      const middle = events.length >> 1
      return [...(await attempt(orgId, events.slice(0, middle))), ...(await attempt(orgId, events.slice(middle)))]
    }
  }

  return { processEvents, effect }
}

/**
 * Confirms the orders of events that have not been seen, as the verb does to one: those that have gone on since stay as
 * they are. Two statements with the same events wait for each other at the first of them, as both note them in one
 * order, and so lock no orders crosswise. Answers { confirmed }.
 */
export function confirmPlaced(orgId: string, events: Pick<OrderRef, 'id' | 'version'>[]): Statement {
  const fresh = `INSERT INTO inbox (org_id, order_id, sequence)
    SELECT DISTINCT $1::uuid, order_id, sequence FROM unnest($2::text[], $6::int[]) AS e (order_id, sequence)
    ORDER BY order_id, sequence ON CONFLICT DO NOTHING RETURNING order_id`
  const { text, values } = confirming(
    orgId,
    events.map(({ id }) => id),
    `WITH fresh AS (${fresh}),`,
    "(SELECT coalesce(array_agg(order_id), '{}') FROM fresh)::text[]",
  )
  return { name: 'confirm_placed', text, values: [...values, events.map(({ version }) => version)] }
}

/** The same for orders whose events leave the outbox in this transaction, and so cannot come again: none is noted. */
function confirmMoved(orgId: string, orderIds: string[]): Statement {
  return { name: 'confirm_moved', ...confirming(orgId, orderIds, 'WITH', '$2::text[]') }
}

/** `ids`, an expression, is an array: that finds orders by their key, where a join may come to read them all. */
function confirming(orgId: string, orderIds: string[], beginning: string, ids: string) {
  const { from, to, event } = transitions.confirm
  return {
    text: `${beginning} changed AS (
        UPDATE orders SET status = $4, version = version + 1, updated_at = now()
        WHERE org_id = $1 AND id = ANY (${ids}) AND status = ANY ($3)
        RETURNING org_id, id, number, version, status, description, metadata
      ), event AS (
        INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
        SELECT org_id, number, version, $5, status, description, metadata FROM changed
      ), message AS (
        INSERT INTO outbox (org_id, sequence, order_ids, events)
        SELECT org_id, version, array_agg(id), count(*) FROM changed GROUP BY org_id, version, ${outboxRow}
      )
      SELECT count(*)::int AS confirmed FROM changed`,
    values: [orgId, orderIds, from, to, event],
  }
}
