import type { Database } from '@orders/database'
import type { DeadLetter, DeadLetterPage, PageQuery } from '@orders/schema'
import { createCursors, readCursorKey } from './cursor.ts'
import { OrdersError } from './errors.ts'
import { readPage } from './named.ts'
import { replayDeadLetter, selectDeadLetters } from './relay-repository.ts'

export type DeadLetters = Awaited<ReturnType<typeof createDeadLetters>>

/** Events that could not be handed on. */
export async function createDeadLetters(database: Database) {
  const cursors = createCursors(await readCursorKey(database))

  /** Newest first. Throws CURSOR_INVALID. */
  function listDeadLetters(orgId: string, query: PageQuery): Promise<DeadLetterPage> {
    const idOf = ({ id }: DeadLetter) => id
    return readPage(cursors, `dead letters ${orgId}`, query, idOf, (after, rows) =>
      database.readInTenant<DeadLetter>(orgId, selectDeadLetters(orgId, after, rows)),
    )
  }

  /** Puts its event back into the queue, and it is gone. Throws DEAD_LETTER_NOT_FOUND. */
  async function replay(orgId: string, id: string): Promise<void> {
    const replayed = await database.runInTenant(orgId, replayDeadLetter(orgId, id))
    if (replayed.length === 0) throw new OrdersError('DEAD_LETTER_NOT_FOUND', `There is no dead letter ${id}.`)
  }

  return { listDeadLetters, replay }
}
