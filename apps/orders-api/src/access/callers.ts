import { type Clock, defaultOrgId } from '@orders/database'
import { type Access, OrdersError, type People } from '@orders/orders'
import { isUuid, type Role, type Scope, type User } from '@orders/schema'
import { type Identity, notTaken } from './token.ts'

/** Who calls, acting in one organisation. `user` is null for calls without a token. */
export type Caller = {
  user: User | null
  orgId: string
  /** null for a user who belongs to no organisation. */
  role: Role | null
  homeOrgId: string
  scopes: readonly Scope[]
  /** Told apart in idempotency keys and limits. */
  principal: string
  jti: string | null
  /** Milliseconds since 1970. */
  expiresAt: number
}

const rememberMs = 60_000
const rememberAtMost = 10_000

/** Calls without a token, where they are taken: a member of the organisation `default`. */
export const openCaller: Caller = {
  user: null,
  orgId: defaultOrgId,
  role: 'member',
  homeOrgId: defaultOrgId,
  scopes: ['orders:read', 'orders:write'],
  principal: 'open',
  jti: null,
  expiresAt: Number.POSITIVE_INFINITY,
}

export type Callers = ReturnType<typeof createCallers>

/**
 * Who stands behind a token, in an organisation: looked up once a minute for each, and at once after `forget`, which a
 * change of memberships or a revoked token brings about. The organisation is the one asked for, or the user's home.
 */
export function createCallers(
  readToken: (token: string) => Promise<Identity>,
  people: Pick<People, 'findAccess' | 'signUpUser'>,
  clock: Clock,
) {
  const known = new Map<string, { caller: Caller; at: number; until: number }>()
  let changes = 0

  /** What is remembered of the caller, if it was looked up within `maxAgeMs`. */
  function recall(token: string, orgId: string | undefined, maxAgeMs = rememberMs): Caller | undefined {
    const found = known.get(keyOf(token, orgId))
    const now = clock.elapsed()
    return found && found.until > now && found.at + maxAgeMs > now ? found.caller : undefined
  }

  /** Throws UNAUTHENTICATED and ORG_NOT_FOUND. */
  async function find(token: string, orgId: string | undefined): Promise<Caller> {
    const seen = changes
    const identity = await readToken(token)
    // What is no id names nothing; it takes the same way as an id of nothing.
    const asked = orgId === undefined ? identity.orgId : isUuid(orgId) ? orgId : nowhere
    const access = await accessOf(identity, asked)
    if (access === 'revoked' || access === 'unknown') throw notTaken('it was revoked, or its user is gone')
    if (access === 'elsewhere') throw new OrgNotFound(orgId, identity.userId)
    const caller = callerOf(identity, access)
    // A user without an organisation may get one at any moment, which announces no change.
    if (seen === changes && caller.role !== null) remember(keyOf(token, orgId), caller, identity.expiresAt)
    return caller
  }

  async function accessOf({ userId, jti, name }: Identity, orgId: string | undefined) {
    const access = await people.findAccess(userId, orgId, jti)
    if (access !== 'unknown' || name === undefined) return access
    await people.signUpUser({ id: userId, name })
    return people.findAccess(userId, orgId, jti)
  }

  function remember(key: string, caller: Caller, expiresAt: number): void {
    known.delete(key)
    if (known.size >= rememberAtMost) known.delete(known.keys().next().value as string)
    const now = clock.elapsed()
    known.set(key, { caller, at: now, until: now + Math.min(rememberMs, expiresAt - clock.now()) })
  }

  /** Looks everything up anew that was remembered of the user, or of all. */
  function forget(userId?: string): void {
    changes++
    for (const [key, { caller }] of known) if (!userId || caller.user?.id === userId) known.delete(key)
  }

  return { recall, find, forget }
}

const nowhere = 'ffffffff-ffff-ffff-ffff-ffffffffffff'

const keyOf = (token: string, orgId: string | undefined) => `${token} ${orgId ?? ''}`

/** Says the same of an organisation that the caller does not belong to and of one that is not there. */
export class OrgNotFound extends OrdersError {
  readonly about: { org: string; user: string | null }

  constructor(orgId = '', user: string | null = null) {
    const org = orgId.slice(0, 64)
    super('ORG_NOT_FOUND', `There is no organisation ${org}.`)
    this.about = { org, user }
  }
}

const callerOf = (identity: Identity, { user, ...where }: Access): Caller => ({
  user,
  ...where,
  scopes: identity.scopes,
  principal: user.id,
  jti: identity.jti,
  expiresAt: identity.expiresAt,
})
