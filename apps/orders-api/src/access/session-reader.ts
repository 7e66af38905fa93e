import type { Clock } from '@orders/database'
import { OrdersError, type People } from '@orders/orders'
import { ownUserScopes } from './rules.ts'
import type { Identity } from './token.ts'

/** Reads who has a session, which allows what the user's role allows. The function that it returns throws UNAUTHENTICATED. */
export const createSessionReader = (people: People, clock: Clock) =>
  async function readSession(sid: string): Promise<Identity> {
    const session = await people.readSession(sid)
    if (!session) throw new OrdersError('UNAUTHENTICATED', 'The session has ended: sign in again.')
    const { userId, orgId, remainingMs } = session
    return {
      userId,
      jti: 'session',
      scopes: ownUserScopes,
      expiresAt: clock.now() + remainingMs,
      ...(orgId && { orgId }),
    }
  }
