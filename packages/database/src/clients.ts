import type pg from 'pg'
import type { watchDurability } from './durability.ts'
import { isRowFault } from './errors.ts'

/**
 * Lends connections of the pool to work, and discards those that failed or are not durable. One that rejected a row stays: a
 * new one takes longer than the statement, so a client that repeats rejected writes would leave none to others.
 */
export function createClients(pool: pg.Pool, durability: ReturnType<typeof watchDurability>) {
  async function withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await pool.connect()
    try {
      const result = await work(client)
      client.release(durability.isFaulty(client))
      return result
    } catch (error) {
      const isReusable = isRowFault(error) && !durability.isFaulty(client) && (await endTransaction(client))
      client.release(!isReusable) // closing it also ends a transaction that may still be open
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

/** Whether the connection is outside any transaction again. */
async function endTransaction(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query('') // The error comes before ReadyForQuery, which has the status of the transaction.
    if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK')
    return true
  } catch {
    return false
  }
}
