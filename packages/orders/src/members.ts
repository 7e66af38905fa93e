import { brokenConstraint, type Database } from '@orders/database'
import type { Member, MemberPage, PageQuery, Role } from '@orders/schema'
import type { createCursors } from './cursor.ts'
import { OrdersError } from './errors.ts'
import { readPage, withTimes } from './named.ts'
import {
  countOtherOwners,
  deleteMembership,
  hasMembership,
  lockOrg,
  selectMember,
  selectMembers,
  upsertMembership,
} from './people-repository.ts'
import { countRows } from './quota-repository.ts'
import { assertRoom, type Quotas } from './quotas.ts'

/** Who belongs to an organisation, and in which role. */
export function createMembers(database: Database, cursors: ReturnType<typeof createCursors>, quotas: Quotas) {
  /** Throws CURSOR_INVALID. */
  function listMembers(orgId: string, query: PageQuery): Promise<MemberPage> {
    const idOf = ({ user_id }: Member) => user_id
    return readPage(cursors, `members ${orgId}`, query, idOf, (after, rows) =>
      database.readInTenant<Member>(orgId, selectMembers(orgId, after, rows)),
    )
  }

  /** Throws MEMBER_NOT_FOUND. */
  async function getMember(orgId: string, userId: string): Promise<Member> {
    const [row] = await database.readInTenant<Member>(orgId, selectMember(orgId, userId))
    return withTimes(row ?? notFound(userId))
  }

  /**
   * Makes the user a member, or gives a member another role. Throws ORG_NOT_FOUND, USER_NOT_FOUND, LAST_OWNER,
   * QUOTA_EXCEEDED.
   */
  async function setMember(orgId: string, userId: string, role: Role): Promise<{ member: Member; created: boolean }> {
    const created = await database
      .inTenant(orgId, async (trx) => {
        await lockOrg(trx, orgId)
        const isNew = await upsertMembership(trx, orgId, userId, role)
        if (isNew) assertRoom('members', (await countRows(trx, 'memberships', orgId)) - 1, quotas)
        if (role !== 'owner') assertOwned(await countOtherOwners(trx, orgId, userId))
        return isNew
      })
      .catch(asRefusal)
    return { member: await getMember(orgId, userId), created }
  }

  /** Throws ORG_NOT_FOUND, MEMBER_NOT_FOUND, LAST_OWNER, LAST_MEMBERSHIP. */
  async function removeMember(orgId: string, userId: string): Promise<void> {
    await database.inTenant(orgId, async (trx) => {
      await lockOrg(trx, orgId)
      if (!(await deleteMembership(trx, orgId, userId))) notFound(userId)
      assertOwned(await countOtherOwners(trx, orgId, userId))
      await database.actAsUser(trx, userId)
      if (!(await hasMembership(trx, userId))) {
        throw new OrdersError('LAST_MEMBERSHIP', 'The user belongs to no other organisation.')
      }
    })
  }

  return { listMembers, getMember, setMember, removeMember }
}

function assertOwned(owners: number): void {
  if (owners === 0) throw new OrdersError('LAST_OWNER', 'The organisation has no other owner.')
}

function notFound(userId: string): never {
  throw new OrdersError('MEMBER_NOT_FOUND', `The organisation has no member ${userId}.`)
}

function asRefusal(error: unknown): never {
  if (brokenConstraint(error) === 'memberships_user_fkey') {
    throw new OrdersError('USER_NOT_FOUND', 'There is no user of this id.')
  }
  throw error
}
