import type { Database, Tables } from '@orders/database'
import { pgErrorCode } from '@orders/database'
import { sql, type Transaction } from 'kysely'
import { OrdersError } from './errors.ts'
import type { Claim, StoredAnswer } from './placement-repository.ts'

/** What an Idempotency-Key stands for, and the answer that is kept under it. */
export type Once<T> = { claim: Claim; answerFor: (made: T) => StoredAnswer }

/** With `replayed`, the key's first answer; else what was made now, and its answer if there is a key. */
export type Made<T> =
  | { replayed: false; made: T; answer: StoredAnswer | undefined }
  | { replayed: true; answer: StoredAnswer }

type Kept = { fingerprint: Buffer; answer: StoredAnswer | null }

const lockNotAvailable = '55P03'

/**
 * Runs `make` in a transaction of the organisation; with `once`, only if its key was not used before, and keeps the
 * answer in the same transaction. Throws IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_FLIGHT, and what `make` throws.
 */
export async function makeOnce<T>(
  database: Database,
  orgId: string,
  once: Once<T> | undefined,
  make: (trx: Transaction<Tables>) => Promise<T>,
): Promise<Made<T>> {
  return database
    .inTenant(orgId, async (trx): Promise<Made<T>> => {
      if (!once) return { replayed: false, made: await make(trx), answer: undefined }
      const { claim, answerFor } = once
      const kept = await claimKey(trx, orgId, claim)
      if (kept) return { replayed: true, answer: answerOf(kept, claim) }
      const made = await make(trx)
      const answer = answerFor(made)
      await keepAnswer(trx, orgId, claim, answer)
      return { replayed: false, made, answer }
    })
    .catch((error) => {
      throw pgErrorCode(error) === lockNotAvailable ? inFlight() : error
    })
}

/** Claims the key; what is kept under it if it was used before. Waits for a request that is using it now. */
async function claimKey(trx: Transaction<Tables>, orgId: string, claim: Claim): Promise<Kept | undefined> {
  const { route, principal, key, fingerprint } = claim
  const { rows } = await sql`
    INSERT INTO idempotency_records (org_id, route, principal, key, fingerprint)
    VALUES (${orgId}, ${route}, ${principal}, ${key}, ${fingerprint}) ON CONFLICT DO NOTHING RETURNING key`.execute(trx)
  if (rows.length > 0) return undefined
  const found = await sql<Kept>`
    SELECT fingerprint, answer FROM idempotency_records
    WHERE org_id = ${orgId} AND route = ${route} AND principal = ${principal} AND key = ${key}`.execute(trx)
  return found.rows[0] ?? { fingerprint, answer: null }
}

async function keepAnswer(trx: Transaction<Tables>, orgId: string, claim: Claim, answer: StoredAnswer): Promise<void> {
  await sql`
    UPDATE idempotency_records SET answer = ${JSON.stringify(answer)}
    WHERE org_id = ${orgId} AND route = ${claim.route} AND principal = ${claim.principal} AND key = ${claim.key}`.execute(
    trx,
  )
}

function answerOf({ fingerprint, answer }: Kept, claim: Claim): StoredAnswer {
  if (!fingerprint.equals(claim.fingerprint)) {
    throw new OrdersError('IDEMPOTENCY_MISMATCH', 'This Idempotency-Key was used before with another body.')
  }
  if (!answer) throw inFlight()
  return answer
}

const inFlight = () =>
  new OrdersError('IDEMPOTENCY_IN_FLIGHT', 'The first request with this key has not been answered yet.')
