import { CompiledQuery, type IsolationLevel, Kysely, PostgresDialect, type Transaction } from 'kysely'
import type pg from 'pg'
import type { SignContext } from './context.ts'
import { discardingPool } from './discarding-pool.ts'
import type { watchDurability } from './durability.ts'
import { type Statement, setTenant, setUser } from './statements.ts'
import type { Tables } from './tables.ts'
import type { createTurns } from './turns.ts'

type TransactionOptions = { isolation?: IsolationLevel; readOnly?: boolean; userId?: string }

type Parts = {
  pool: pg.Pool
  sign: SignContext
  durability: ReturnType<typeof watchDurability>
  inTurn: ReturnType<typeof createTurns>
}

/** Transactions of several statements, which Kysely runs. */
export function createTransactions({ pool, sign, durability, inTurn }: Parts) {
  const kysely = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool: discardingPool(pool, durability.isFaulty) }),
  })

  /**
   * Runs `work` in a transaction that sees and writes the rows of one organisation only; with `userId`, also sees that
   * user and the user's organisations. Transactions that write wait for their turn, so that those of one organisation leave
   * connections to others, whatever locks they wait for. Throws a BusyError if that takes too long.
   */
  function inTenant<T>(
    orgId: string,
    work: (trx: Transaction<Tables>) => Promise<T>,
    options: TransactionOptions = {},
  ): Promise<T> {
    const run = () => transact(orgId, work, options)
    return options.readOnly ? run() : inTurn(orgId, run)
  }

  function transact<T>(
    orgId: string,
    work: (trx: Transaction<Tables>) => Promise<T>,
    { isolation = 'read committed', readOnly = false, userId }: TransactionOptions,
  ): Promise<T> {
    return kysely
      .transaction()
      .setIsolationLevel(isolation)
      .setAccessMode(readOnly ? 'read only' : 'read write')
      .execute(async (trx) => {
        if (!readOnly) durability.assertDurable()
        for (const { text, values } of [
          setTenant(sign, orgId),
          ...(userId === undefined ? [] : [setUser(sign, userId)]),
        ]) {
          await trx.executeQuery(CompiledQuery.raw(text, values))
        }
        return work(trx)
      })
  }

  /** Lets one step of such a transaction act in another organisation, such as the one that it makes. */
  async function elsewhere<T>(
    trx: Transaction<Tables>,
    home: string,
    orgId: string,
    work: () => Promise<T>,
  ): Promise<T> {
    const actIn = ({ text, values }: Statement) => trx.executeQuery(CompiledQuery.raw(text, values))
    await actIn(setTenant(sign, orgId))
    const result = await work()
    await actIn(setTenant(sign, home))
    return result
  }

  /** Lets the rest of such a transaction also see a user and the user's organisations. */
  async function actAsUser(trx: Transaction<Tables>, userId: string): Promise<void> {
    const { text, values } = setUser(sign, userId)
    await trx.executeQuery(CompiledQuery.raw(text, values))
  }

  return { inTenant, elsewhere, actAsUser }
}
