import type { Database } from '@orders/database'
import { createAccess } from './access.ts'
import { createCursors, readCursorKey } from './cursor.ts'
import { createMembers } from './members.ts'
import { createOrganisations } from './organisations.ts'
import { createProjects } from './projects.ts'
import { defaultQuotas, type Quotas } from './quotas.ts'
import { createSessions } from './sessions.ts'

export type People = Awaited<ReturnType<typeof createPeople>>

/** The use cases of organisations, projects, users and their sessions. */
export async function createPeople(database: Database, quotas: Quotas = defaultQuotas) {
  const cursors = createCursors(await readCursorKey(database))
  return {
    ...createAccess(database),
    ...createSessions(database),
    ...createOrganisations(database, cursors),
    ...createMembers(database, cursors, quotas),
    ...createProjects(database, cursors, quotas),
  }
}
