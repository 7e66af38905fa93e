import { isDeepStrictEqual } from 'node:util'
import { Client } from 'pg'
import type { Entry } from './journal.ts'

/** What the database has to say about a journal; all but `acknowledged` are 0 if the service kept its word. */
export type Verdict = {
  /** Orders that clients were told are placed. */
  acknowledged: number
  /** Of those, not there, or there with other content than was sent or answered. */
  lost: number
  /** Orders beyond one a key. */
  duplicates: number
  /** Orders without exactly one placed event, one place in the outbox and one idempotency record with the order's own answer. */
  incomplete: number
  /** Keys that were answered once with one body and once with another. */
  contradicted: number
  /** Events, places in the outbox and idempotency records of no order. */
  stray: number
}

type Row = {
  id: string
  amount: number
  currency: string
  description: string | null
  metadata: Record<string, string>
  events: number
  messages: number
  records: number
}

const orders = `
  WITH events AS (
    SELECT order_number, count(*)::int AS n FROM order_events
    WHERE type = 'orders.order.placed.v1' AND sequence = 1 GROUP BY order_number
  ), messages AS (
    SELECT id AS order_id, count(*)::int AS n FROM (SELECT unnest(order_ids) AS id FROM outbox WHERE sequence = 1)
    GROUP BY id
  ), records AS (
    SELECT key, (answer->>'body')::jsonb->>'id' AS order_id, count(*)::int AS n FROM idempotency_records GROUP BY 1, 2
  )
  SELECT o.id, o.org_id, o.project_id, o.amount::float8 AS amount, o.currency, o.status, o.description, o.metadata,
    to_char(o.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS created_at,
    to_char(o.updated_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS updated_at, o.version,
    coalesce(e.n, 0) AS events, coalesce(m.n, 0) AS messages, coalesce(r.n, 0) AS records
  FROM orders o
  LEFT JOIN events e ON e.order_number = o.number
  LEFT JOIN messages m ON m.order_id = o.id
  LEFT JOIN records r ON r.order_id = o.id AND r.key = o.metadata->>'key'`

const strays = `
  SELECT (SELECT count(*) FROM order_events e WHERE NOT EXISTS (SELECT FROM orders o WHERE o.number = e.order_number))
    + (SELECT count(*) FROM (SELECT unnest(order_ids) AS id FROM outbox) m
       WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = m.id))
    + (SELECT count(*) FROM idempotency_records r
       WHERE NOT EXISTS (SELECT FROM orders o WHERE o.id = (r.answer->>'body')::jsonb->>'id')) AS n`

/** Compares what clients were told with what is there. `url` is an address that sees the rows of all organisations. */
export async function check(url: string, entries: Entry[]): Promise<Verdict> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    const { rows } = await client.query<Row>(orders)
    const { rows: stray } = await client.query<{ n: string }>(strays)
    return { ...compare(rows, entries), stray: Number(stray[0]?.n) }
  } finally {
    await client.end()
  }
}

function compare(rows: Row[], entries: Entry[]): Omit<Verdict, 'stray'> {
  const byKey = Map.groupBy(rows, ({ metadata }) => metadata.key)
  const acknowledged = entries.filter(({ answer }) => answer)
  return {
    acknowledged: acknowledged.length,
    lost: acknowledged.filter((entry) => !byKey.get(entry.key)?.some((row) => isOrderOf(entry, row))).length,
    duplicates: entries.reduce((sum, { key }) => sum + Math.max(0, (byKey.get(key)?.length ?? 0) - 1), 0),
    incomplete: entries
      .flatMap(({ key }) => byKey.get(key) ?? [])
      .filter(({ events, messages, records }) => events !== 1 || messages !== 1 || records !== 1).length,
    contradicted: entries.filter(({ replays }) => replays.length > 0).length,
  }
}

/** Whether the row is what was answered, and what was sent. */
function isOrderOf({ order, answer }: Entry, { events: _, messages: __, records: ___, ...row }: Row): boolean {
  const { id, amount, currency, description, metadata } = row
  const sent = { id, currency: 'EUR', description: null, ...order }
  return (
    isDeepStrictEqual(row, JSON.parse(answer?.body ?? '')) &&
    isDeepStrictEqual({ id, currency, description, amount, metadata }, sent)
  )
}
