import { brokenConstraint, type Database } from '@orders/database'
import type { NameAndSlug, PageQuery, Project, ProjectPage } from '@orders/schema'
import type { createCursors } from './cursor.ts'
import { OrdersError } from './errors.ts'
import { assertSlug, readPage, withTimes } from './named.ts'
import { type Made, makeOnce, type Once } from './once.ts'
import {
  deleteProject,
  insertProject,
  lockOrg,
  selectProject,
  selectProjects,
  updateProject,
} from './people-repository.ts'
import { countRows } from './quota-repository.ts'
import { assertRoom, type Quotas } from './quotas.ts'

/** Projects of an organisation, which orders may name. */
export function createProjects(database: Database, cursors: ReturnType<typeof createCursors>, quotas: Quotas) {
  /**
   * Throws QUOTA_EXCEEDED, INVALID_PROJECT_SLUG, SLUG_TAKEN, ORG_NOT_FOUND, IDEMPOTENCY_MISMATCH, IDEMPOTENCY_IN_FLIGHT.
   */
  async function createProject(orgId: string, named: NameAndSlug, once?: Once<Project>): Promise<Made<Project>> {
    assertSlug(named, 'INVALID_PROJECT_SLUG')
    return makeOnce(database, orgId, once, async (trx) => {
      await lockOrg(trx, orgId)
      assertRoom('projects', await countRows(trx, 'projects', orgId), quotas)
      return withTimes(await insertProject(trx, orgId, named))
    }).catch(asRefusal)
  }

  /** Throws CURSOR_INVALID. */
  function listProjects(orgId: string, query: PageQuery): Promise<ProjectPage> {
    const idOf = ({ id }: Project) => id
    return readPage(cursors, `projects ${orgId}`, query, idOf, (after, rows) =>
      database.readInTenant<Project>(orgId, selectProjects(orgId, after, rows)),
    )
  }

  /** Throws PROJECT_NOT_FOUND. */
  async function getProject(orgId: string, id: string): Promise<Project> {
    const [row] = await database.readInTenant<Project>(orgId, selectProject(orgId, id))
    return withTimes(row ?? notFound(id))
  }

  /** Throws PROJECT_NOT_FOUND, INVALID_PROJECT_SLUG, SLUG_TAKEN. */
  async function replaceProject(orgId: string, id: string, named: NameAndSlug): Promise<Project> {
    assertSlug(named, 'INVALID_PROJECT_SLUG')
    const [row] = await database.runInTenant<Project>(orgId, updateProject(orgId, id, named)).catch(asRefusal)
    return withTimes(row ?? notFound(id))
  }

  /** Throws PROJECT_NOT_FOUND, PROJECT_IN_USE. */
  async function removeProject(orgId: string, id: string): Promise<void> {
    const deleted = await database.runInTenant<Project>(orgId, deleteProject(orgId, id)).catch(asRefusal)
    if (deleted.length === 0) notFound(id)
  }

  return { createProject, listProjects, getProject, replaceProject, removeProject }
}

function notFound(id: string): never {
  throw new OrdersError('PROJECT_NOT_FOUND', `There is no project ${id}.`)
}

function asRefusal(error: unknown): never {
  const constraint = brokenConstraint(error)
  if (constraint === 'projects_org_id_slug_key') {
    throw new OrdersError('SLUG_TAKEN', 'Another project of the organisation has this slug.')
  }
  if (constraint === 'orders_project_fkey') throw new OrdersError('PROJECT_IN_USE', 'The project has orders.')
  if (constraint === 'projects_org_id_fkey')
    throw new OrdersError('ORG_NOT_FOUND', 'The organisation has been deleted.')
  throw error
}
