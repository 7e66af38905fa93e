import { brokenConstraint, type Database, type Statement, type Tables } from '@orders/database'
import type { NameAndSlug, Organisation, OwnOrganisation, Role, User } from '@orders/schema'
import { sql, type Transaction } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import { withTimes } from './named.ts'
import { insertOrg, selectOwnOrgs, upsertMembership } from './people-repository.ts'
import { maxPage } from './read-orders.ts'

/** A user in one organisation. Without any, `role` is null and `orgId` the former home. */
export type Access = { user: User; orgId: string; role: Role | null; homeOrgId: string }

type Found = { name: string; home_org_id: string; org_id: string | null; role: Role | null; revoked: boolean }

/** Who is there, and what they may do where. */
export function createAccess(database: Database) {
  /** Makes a guest, who has a number for a name, and the organisation that is the guest's home. */
  async function signUpGuest(): Promise<{ user: User; org: Organisation }> {
    const id = uuidv7()
    return atNewHome(id, async (trx, orgId) => {
      const { rows } = await sql<{ number: number }>`SELECT nextval('guest_numbers') AS number`.execute(trx)
      const name = `guest-${String(rows[0]?.number).padStart(4, '0')}`
      return { user: { id, name }, org: await settle(trx, { id, name }, { id: orgId, name, slug: name }) }
    })
  }

  /** Makes a user whom an issuer vouches for, with a home; does nothing if the user is there. */
  async function signUpUser(user: User): Promise<void> {
    await atNewHome(user.id, (trx, orgId) =>
      settle(trx, user, { id: orgId, name: user.name, slug: `home-${user.id}` }),
    ).catch((error) => {
      if (brokenConstraint(error) !== 'organisations_slug_key') throw error
    })
  }

  function atNewHome<T>(userId: string, work: (trx: Transaction<Tables>, orgId: string) => Promise<T>): Promise<T> {
    const orgId = uuidv7()
    return database.inTenant(orgId, (trx) => work(trx, orgId), { userId })
  }

  /**
   * What the user may do in the organisation. Without `orgId`, it is the user's home, or the first one that the user
   * joined of those left. 'unknown' if there is no such user, 'revoked' if the token was revoked, 'elsewhere' if the user
   * does not belong to `orgId`.
   */
  async function findAccess(
    userId: string,
    orgId: string | undefined,
    jti: string,
  ): Promise<Access | 'unknown' | 'revoked' | 'elsewhere'> {
    const [found] = await database.readAsUser<Found>(userId, selectAccess(userId, orgId, jti))
    if (!found) return 'unknown'
    if (found.revoked) return 'revoked'
    if (orgId !== undefined && !found.role) return 'elsewhere'
    const { name, org_id, role, home_org_id: homeOrgId } = found
    return { user: { id: userId, name }, orgId: org_id ?? homeOrgId, role, homeOrgId }
  }

  /** The newest organisations of a user with the user's role in each. */
  async function ownOrgs(userId: string): Promise<OwnOrganisation[]> {
    const rows = await database.readAsUser<OwnOrganisation>(userId, selectOwnOrgs(userId, undefined, maxPage))
    return rows.map(withTimes)
  }

  return { signUpGuest, signUpUser, findAccess, ownOrgs }
}

async function settle(trx: Transaction<Tables>, user: User, home: NameAndSlug & { id: string }): Promise<Organisation> {
  const org = await insertOrg(trx, home)
  await trx
    .insertInto('users')
    .values({ ...user, home_org_id: home.id })
    .execute()
  await upsertMembership(trx, home.id, user.id, 'owner')
  return withTimes(org)
}

const selectAccess = (userId: string, orgId: string | undefined, jti: string): Statement => ({
  name: 'select_access',
  text: `SELECT u.name, u.home_org_id, m.org_id, m.role,
      EXISTS (SELECT FROM revoked_tokens r WHERE r.user_id = $1 AND r.jti = $3) AS revoked
    FROM users u LEFT JOIN LATERAL (
      SELECT org_id, role FROM memberships WHERE user_id = u.id AND ($2::uuid IS NULL OR org_id = $2)
      ORDER BY org_id = u.home_org_id DESC, created_at, org_id LIMIT 1) m ON true
    WHERE u.id = $1`,
  values: [userId, orgId ?? null, jti],
  onePlan: true,
})
