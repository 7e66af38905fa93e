import type pg from 'pg'
import type { watchDurability } from './durability.ts'

/** Lends connections of the pool to work, and discards those that failed or are not durable. */
export function createClients(pool: pg.Pool, durability: ReturnType<typeof watchDurability>) {
  async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect()
    try {
      const result = await work(client)
      client.release(durability.isFaulty(client))
      return result
    } catch (error) {
      client.release(true) // also ends a transaction that may still be open
      throw error
    }
  }

  const withDurableClient = <T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> =>
    withClient((client) => {
      durability.assertDurable(client)
      return work(client)
    })

  return { withClient, withDurableClient }
}
