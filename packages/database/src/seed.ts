import type { Database } from './database.ts'
import { type SeedOrder, seedOrders } from './seed-orders.ts'
import type { Statement } from './statements.ts'

const batchSize = 5000
const writers = 2

/**
 * Adds orders of the last 90 days to an organisation, with the events and outbox rows they would have left.
 * The same seed gives the same orders, apart from their ids and the moment they count back from.
 */
export async function seedDatabase(
  database: Database,
  orgId: string,
  { count, seed, onProgress }: { count: number; seed: number; onProgress: (done: number) => void },
): Promise<void> {
  const orders = seedOrders(count, seed)
  let done = 0
  const write = async () => {
    for (let batch = take(orders); batch.length > 0; batch = take(orders)) {
      await database.runInTenant(orgId, { ...insertHistory(orgId, batch), inTurn: false })
      done += batch.length
      onProgress(done)
    }
  }
  await Promise.all(Array.from({ length: writers }, write))
}

function take(orders: Iterator<SeedOrder>): SeedOrder[] {
  const batch: SeedOrder[] = []
  while (batch.length < batchSize) {
    const { value, done } = orders.next()
    if (done) break
    batch.push(value)
  }
  return batch
}

/** Writes orders as they are now, and one event and outbox row for each step that led there. */
function insertHistory(orgId: string, orders: SeedOrder[]): Statement {
  return {
    name: 'seed_orders',
    text: `WITH input AS (
        SELECT uuidv7(-age * interval '1 second')::text AS id, amount, currency, description, metadata,
          string_to_array(path, ' ') AS path, now() - age * interval '1 second' AS created_at,
          pace * interval '1 second' AS pace
        FROM unnest($2::numeric[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::float8[], $8::float8[])
          AS input (amount, currency, description, metadata, path, age, pace)
      ), step AS (
        SELECT input.*, n::integer AS version, status, created_at + (n - 1) * pace AS at
        FROM input, unnest(path) WITH ORDINALITY AS step (status, n)
      ), placed AS (
        INSERT INTO orders (org_id, id, amount, currency, status, description, metadata, created_at, updated_at, version)
        SELECT $1::uuid, id, amount, currency, status, description, metadata, created_at, at, version
        FROM step WHERE version = cardinality(path) RETURNING id, number
      ), events AS (
        INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata, occurred_at)
        SELECT $1::uuid, number, version, 'orders.order.' || status || '.v1', status, description, metadata, at
        FROM step JOIN placed USING (id)
      )
      INSERT INTO outbox (org_id, sequence, order_ids, created_at) SELECT $1::uuid, version, ARRAY[id], at FROM step`,
    values: [
      orgId,
      orders.map((order) => order.amount),
      orders.map((order) => order.currency),
      orders.map((order) => order.description),
      orders.map((order) => JSON.stringify(order.metadata)),
      orders.map((order) => order.path),
      orders.map((order) => order.age),
      orders.map((order) => order.pace),
    ],
  }
}
