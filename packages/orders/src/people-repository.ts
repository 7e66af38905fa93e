import type { Statement, Tables } from '@orders/database'
import type { NameAndSlug, Organisation, Project } from '@orders/schema'
import { sql, type Transaction } from 'kysely'
import type { Position } from './cursor.ts'
import { orgNotFound } from './errors.ts'

type Trx = Transaction<Tables>

/**
 * Milliseconds that a rename waits for another that takes, or gives up, the same slug. Two that exchange their slugs wait
 * for each other, and PostgreSQL looks for a deadlock only after a second.
 */
const slugTimeoutMs = 100

const named = 'id, name, slug, created_at, updated_at'

/** Inserts the organisation that the transaction acts in. */
export function insertOrg(trx: Trx, org: NameAndSlug & { id: string }): Promise<Organisation> {
  return trx.insertInto('organisations').values(org).returningAll().executeTakeFirstOrThrow()
}

export const selectOrg = (orgId: string): Statement => ({
  name: 'select_org',
  text: `SELECT ${named} FROM organisations WHERE id = $1`,
  values: [orgId],
})

const newestFirst = (id: string, after: Position | undefined) => ({
  where: `($2::timestamptz IS NULL OR (created_at, ${id}) < ($2, $3::uuid)) ORDER BY created_at DESC, ${id} DESC LIMIT $4`,
  values: [after?.created_at ?? null, after?.id ?? null],
})

/** A user's organisations with the user's role in each. */
export function selectOwnOrgs(userId: string, after: Position | undefined, rows: number): Statement {
  const { where, values } = newestFirst('id', after)
  return {
    name: 'select_own_orgs',
    text: `SELECT ${named}, role FROM (
        SELECT o.*, m.role FROM organisations o JOIN memberships m ON m.org_id = o.id WHERE m.user_id = $1) AS own
      WHERE ${where}`,
    values: [userId, ...values, rows],
  }
}

/** Holds the organisation against other changes of it and of its members; orders go on being placed. Throws ORG_NOT_FOUND. */
export async function lockOrg(trx: Trx, orgId: string) {
  const { rows } = await sql<{ slug: string }>`
    SELECT slug FROM organisations WHERE id = ${orgId} FOR NO KEY UPDATE`.execute(trx)
  return rows[0] ?? orgNotFound(orgId)
}

export async function updateOrg(trx: Trx, orgId: string, { name, slug }: NameAndSlug): Promise<Organisation> {
  await sql`SELECT set_config('lock_timeout', ${String(slugTimeoutMs)}, true)`.execute(trx)
  return trx
    .updateTable('organisations')
    .set({ name, slug, updated_at: sql`now()` })
    .where('id', '=', orgId)
    .returningAll()
    .executeTakeFirstOrThrow()
}

/**
 * Deletes the organisation unless it has orders: also none that are just being placed, which its lock waits for. Returns
 * the ids of its members, also of those who joined while it waited.
 */
export async function deleteOrg(trx: Trx, orgId: string): Promise<string[] | 'missing' | 'has orders'> {
  if (await hasOrders(trx, orgId)) return 'has orders'
  // Placing an order locks its project before the organisation.
  await sql`SELECT FROM projects WHERE org_id = ${orgId} ORDER BY id FOR UPDATE`.execute(trx)
  const { rows } = await sql`SELECT FROM organisations WHERE id = ${orgId} FOR UPDATE`.execute(trx)
  if (rows.length === 0) return 'missing'
  if (await hasOrders(trx, orgId)) return 'has orders'
  const members = await selectMemberIds(trx, orgId)
  await trx.deleteFrom('organisations').where('id', '=', orgId).execute()
  return members
}

async function hasOrders(trx: Trx, orgId: string): Promise<boolean> {
  const order = await trx.selectFrom('orders').select('id').where('org_id', '=', orgId).limit(1).executeTakeFirst()
  return order !== undefined
}

export async function insertProject(trx: Trx, orgId: string, { name, slug }: NameAndSlug): Promise<Project> {
  return trx
    .insertInto('projects')
    .values({ org_id: orgId, name, slug })
    .returning(['org_id', 'id', 'name', 'slug', 'created_at', 'updated_at'])
    .executeTakeFirstOrThrow()
}

export function selectProjects(orgId: string, after: Position | undefined, rows: number): Statement {
  const { where, values } = newestFirst('id', after)
  return {
    name: 'select_projects',
    text: `SELECT org_id, ${named} FROM projects WHERE org_id = $1 AND ${where}`,
    values: [orgId, ...values, rows],
  }
}

export const selectProject = (orgId: string, id: string): Statement => ({
  name: 'select_project',
  text: `SELECT org_id, ${named} FROM projects WHERE org_id = $1 AND id = $2`,
  values: [orgId, id],
})

export const updateProject = (orgId: string, id: string, { name, slug }: NameAndSlug): Statement => ({
  name: 'update_project',
  text: `UPDATE projects SET name = $3, slug = $4, updated_at = now() WHERE org_id = $1 AND id = $2
    RETURNING org_id, ${named}`,
  values: [orgId, id, name, slug],
  lockTimeoutMs: slugTimeoutMs,
})

export const deleteProject = (orgId: string, id: string): Statement => ({
  name: 'delete_project',
  text: 'DELETE FROM projects WHERE org_id = $1 AND id = $2 RETURNING id',
  values: [orgId, id],
})

const members = `SELECT m.user_id, u.name, m.role, m.created_at, m.updated_at
  FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.org_id = $1`

export function selectMembers(orgId: string, after: Position | undefined, rows: number): Statement {
  const { where, values } = newestFirst('user_id', after)
  return {
    name: 'select_members',
    text: `SELECT * FROM (${members}) AS members WHERE ${where}`,
    values: [orgId, ...values, rows],
  }
}

export const selectMember = (orgId: string, userId: string): Statement => ({
  name: 'select_member',
  text: `${members} AND m.user_id = $2`,
  values: [orgId, userId],
})

/** True if the user was no member before. */
export async function upsertMembership(trx: Trx, orgId: string, userId: string, role: string): Promise<boolean> {
  const { rows } = await sql<{ created: boolean }>`
    INSERT INTO memberships (org_id, user_id, role) VALUES (${orgId}, ${userId}, ${role})
    ON CONFLICT (org_id, user_id) DO UPDATE SET role = excluded.role, updated_at = now()
    RETURNING xmax = 0 AS created`.execute(trx)
  return rows[0]?.created === true
}

export async function deleteMembership(trx: Trx, orgId: string, userId: string): Promise<boolean> {
  const { numDeletedRows } = await trx
    .deleteFrom('memberships')
    .where('org_id', '=', orgId)
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

export async function selectMemberIds(trx: Trx, orgId: string): Promise<string[]> {
  const rows = await trx
    .selectFrom('memberships')
    .select('user_id')
    .where('org_id', '=', orgId)
    .orderBy('user_id')
    .execute()
  return rows.map(({ user_id }) => user_id)
}

/**
 * Whether the user belongs to any organisation, in a transaction that acts as the user too. Other transactions that ask
 * this of the same user wait until this one ends, so that two of them cannot each rely on what the other removes.
 */
export async function hasMembership(trx: Trx, userId: string): Promise<boolean> {
  await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`memberships ${userId}`}, 0))`.execute(trx)
  const { rows } = await sql`SELECT org_id FROM memberships WHERE user_id = ${userId} LIMIT 1`.execute(trx)
  return rows.length > 0
}

/** Owners of the organisation apart from the user; the organisation is locked. */
export async function countOtherOwners(trx: Trx, orgId: string, userId: string): Promise<number> {
  const { count } = await trx
    .selectFrom('memberships')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('org_id', '=', orgId)
    .where('role', '=', 'owner')
    .where('user_id', '!=', userId)
    .executeTakeFirstOrThrow()
  return count
}
