import { brokenConstraint, type Database, type Tables } from '@orders/database'
import type { NameAndSlug, Organisation, OrganisationPage, PageQuery } from '@orders/schema'
import type { Transaction } from 'kysely'
import { v7 as uuidv7 } from 'uuid'
import type { createCursors } from './cursor.ts'
import { OrdersError, orgNotFound } from './errors.ts'
import { assertSlug, readPage, withTimes } from './named.ts'
import { type Made, makeOnce, type Once } from './once.ts'
import {
  deleteOrg,
  hasMembership,
  insertOrg,
  lockOrg,
  selectOrg,
  selectOwnOrgs,
  updateOrg,
  upsertMembership,
} from './people-repository.ts'

/** Organisations. A user sees those with a membership of the user; each function names who asks or where. */
export function createOrganisations(database: Database, cursors: ReturnType<typeof createCursors>) {
  /**
   * Makes an organisation that the user owns; its Idempotency-Key is of the user's home.
   * Throws INVALID_ORG_SLUG, SLUG_TAKEN, IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_FLIGHT.
   */
  async function createOrg(
    { userId, orgId }: { userId: string; orgId: string },
    named: NameAndSlug,
    once?: Once<Organisation>,
  ): Promise<Made<Organisation>> {
    assertSlug(named, 'INVALID_ORG_SLUG', isHomeSlug)
    const id = uuidv7()
    return makeOnce(database, orgId, once, (trx) =>
      database.elsewhere(trx, orgId, id, async () => {
        const org = await insertOrg(trx, { id, ...named })
        await upsertMembership(trx, id, userId, 'owner')
        return withTimes(org)
      }),
    ).catch(asRefusal)
  }

  /** Throws CURSOR_INVALID. */
  function listOrgs(userId: string, query: PageQuery): Promise<OrganisationPage> {
    const idOf = ({ id }: Organisation) => id
    return readPage(cursors, `orgs ${userId}`, query, idOf, (after, rows) =>
      database.readAsUser<Organisation>(userId, selectOwnOrgs(userId, after, rows)),
    )
  }

  /** Throws ORG_NOT_FOUND. */
  async function getOrg(orgId: string): Promise<Organisation> {
    const [row] = await database.readInTenant<Organisation>(orgId, selectOrg(orgId))
    return withTimes(row ?? orgNotFound(orgId))
  }

  /** Throws ORG_NOT_FOUND, INVALID_ORG_SLUG, SLUG_TAKEN. */
  async function replaceOrg(orgId: string, named: NameAndSlug): Promise<Organisation> {
    const row = await database
      .inTenant(orgId, async (trx) => {
        const current = await lockOrg(trx, orgId)
        if (named.slug !== current.slug) assertSlug(named, 'INVALID_ORG_SLUG', isHomeSlug)
        return updateOrg(trx, orgId, named)
      })
      .catch(asRefusal)
    return withTimes(row)
  }

  /** Deletes an organisation with its projects and memberships. Throws ORG_NOT_FOUND, ORG_IN_USE. */
  async function removeOrg(orgId: string): Promise<void> {
    await database
      .inTenant(orgId, async (trx) => {
        const members = await deleteOrg(trx, orgId)
        if (members === 'missing') return orgNotFound(orgId)
        if (members === 'has orders') throw new OrdersError('ORG_IN_USE', 'The organisation has orders.')
        for (const userId of members) await assertHasOrg(trx, userId)
      })
      .catch(asRefusal)
  }

  async function assertHasOrg(trx: Transaction<Tables>, userId: string): Promise<void> {
    await database.actAsUser(trx, userId)
    if (!(await hasMembership(trx, userId))) {
      throw new OrdersError('ORG_IN_USE', 'The organisation is the only one of a member.')
    }
  }

  return { createOrg, listOrgs, getOrg, replaceOrg, removeOrg }
}

/** How the homes of guests and of other users are named. */
const isHomeSlug = (slug: string) => /^(guest|home)-/.test(slug)

function asRefusal(error: unknown): never {
  const constraint = brokenConstraint(error)
  if (constraint === 'organisations_slug_key')
    throw new OrdersError('SLUG_TAKEN', 'Another organisation has this slug.')
  if (constraint === 'users_home_org_id_fkey') {
    throw new OrdersError('ORG_IN_USE', 'The organisation is the home of a user.')
  }
  throw error
}
