import { type Kysely, sql } from 'kysely'

/**
 * What the worker needs to remove guests without activity and their organisations.
 *
 * The ids of guests are version 7 and contain the time of the sign-up; those of users of an issuer are version 5. A guest
 * cannot act later than a day after the sign-up. A row of removed_organisations marks an organisation whose rows the worker
 * deletes in batches. The policies let a worker mark only an organisation whose members, and users with this home, all
 * signed up as guests more than a day ago, if there is one; and delete rows of marked organisations only.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`CREATE TABLE removed_organisations (id uuid PRIMARY KEY)`.execute(db)
  await sql`ALTER TABLE removed_organisations ENABLE ROW LEVEL SECURITY`.execute(db)
  await sql`ALTER TABLE removed_organisations FORCE ROW LEVEL SECURITY`.execute(db)
  await sql`
    CREATE POLICY worker ON removed_organisations TO orders_worker USING (true) WITH CHECK (
      id <> '00000000-0000-7000-8000-000000000000' AND NOT EXISTS (
        SELECT FROM memberships m WHERE m.org_id = removed_organisations.id AND NOT ${isPastGuest('m.user_id')})
      AND NOT EXISTS (
        SELECT FROM users u WHERE u.home_org_id = removed_organisations.id AND NOT ${isPastGuest('u.id')})
      AND (EXISTS (SELECT FROM memberships m WHERE m.org_id = removed_organisations.id)
        OR EXISTS (SELECT FROM users u WHERE u.home_org_id = removed_organisations.id)))`.execute(db)

  for (const [table, user] of Object.entries({ users: 'id', memberships: 'user_id' })) {
    const name = sql.table(table)
    await sql`CREATE POLICY worker_reads ON ${name} FOR SELECT TO orders_worker USING (true)`.execute(db)
    await sql`
      CREATE POLICY worker_removes ON ${name} FOR DELETE TO orders_worker USING (${isPastGuest(user)})`.execute(db)
  }
  await sql`
    CREATE POLICY worker ON organisations TO orders_worker
    USING (${isMarked(sql`organisations.id`)}) WITH CHECK (false)`.execute(db)
  await sql`
    CREATE POLICY worker ON projects TO orders_worker
    USING (${isMarked(sql`projects.org_id`)}) WITH CHECK (false)`.execute(db)
  // Another policy lets a worker see all rows of these.
  for (const table of ['orders', 'order_events', 'event_positions', 'webhooks']) {
    await sql`
      CREATE POLICY worker_removes ON ${sql.table(table)} AS RESTRICTIVE FOR DELETE TO orders_worker
      USING (${isMarked(sql`${sql.table(table)}.org_id`)})`.execute(db)
  }

  await sql`GRANT SELECT, INSERT, DELETE ON removed_organisations TO orders_worker`.execute(db)
  await sql`GRANT SELECT (id, home_org_id, created_at), DELETE ON users TO orders_worker`.execute(db)
  await sql`GRANT SELECT (org_id, user_id, ctid), DELETE ON memberships TO orders_worker`.execute(db)
  await sql`GRANT SELECT (user_id), DELETE ON sessions TO orders_worker`.execute(db)
  await sql`GRANT SELECT (id), DELETE ON organisations TO orders_worker`.execute(db)
  await sql`GRANT SELECT (org_id, ctid), DELETE ON projects TO orders_worker`.execute(db)
  await sql`
    GRANT DELETE ON orders, order_events, event_positions, webhooks, dead_letters TO orders_worker`.execute(db)
}

const isPastGuest = (user: string) => {
  const id = sql.ref(user)
  return sql`(uuid_extract_version(${id}) = 7 AND uuid_extract_timestamp(${id}) < now() - interval '1 day')`
}

const isMarked = (orgId: ReturnType<typeof sql>) =>
  sql`EXISTS (SELECT FROM removed_organisations r WHERE r.id = ${orgId})`
