import { defaultOrgId, type Statement } from '@orders/database'

/**
 * Tables of an organisation without a bound of their own on the age of rows, in the order in which rows can be deleted.
 * Events that wait come first: without their orders they could never leave, and would take the turns of others.
 */
export const removedTables = [
  'outbox',
  'event_queue',
  'order_events',
  'orders',
  'order_statistics_changes',
  'order_statistics',
  'projects',
  'webhooks',
  'event_positions',
  'dead_letters',
  'memberships',
] as const

export type Removal = { examined: number; last: string | null; users: number; memberships: number; sessions: number }

const isInactive = (user: string) =>
  `uuid_extract_version(${user}.id) = 7 AND ${user}.created_at < now() - make_interval(days => $2::int)`

/**
 * Examines the next guests after the id `after`, oldest first: ids of version 7 follow the time of the sign-up. Deletes
 * those who signed up more than `days` ago, and marks their organisations as removed, if these have no other members than
 * guests of that age, and are the home of nobody else. The home of another such guest is left for the removal of that guest.
 */
export const removeInactiveGuests = (after: string, days: number, guests: number): Statement => ({
  name: 'remove_inactive_guests',
  text: `WITH examined AS (
        SELECT id, home_org_id, created_at FROM users
        WHERE id > $1 AND id < (SELECT uuidv7(make_interval(days => -($2::int))))
        ORDER BY id LIMIT $3),
      inactive AS (SELECT id, home_org_id FROM examined e WHERE ${isInactive('e')}),
      belongings AS (
        SELECT id AS user_id, home_org_id AS org_id FROM inactive
        UNION SELECT m.user_id, m.org_id FROM inactive JOIN memberships m ON m.user_id = inactive.id),
      shared AS (
        SELECT user_id FROM belongings b WHERE org_id = '${defaultOrgId}' OR EXISTS (
          SELECT FROM memberships m WHERE m.org_id = b.org_id AND NOT EXISTS (
            SELECT FROM users u WHERE u.id = m.user_id AND ${isInactive('u')}))
        UNION SELECT user_id FROM belongings b, LATERAL (
          SELECT FROM users u WHERE u.home_org_id = b.org_id AND NOT (${isInactive('u')}) LIMIT 1)),
      removable AS (SELECT id FROM inactive WHERE id NOT IN (SELECT user_id FROM shared)),
      marked AS (
        INSERT INTO removed_organisations
        SELECT DISTINCT org_id FROM belongings b JOIN removable ON removable.id = b.user_id
        WHERE NOT EXISTS (SELECT FROM users u WHERE u.home_org_id = b.org_id AND u.id <> b.user_id)
        ON CONFLICT DO NOTHING),
      ended AS (DELETE FROM sessions WHERE user_id IN (SELECT id FROM removable) RETURNING 1),
      left_behind AS (DELETE FROM memberships WHERE user_id IN (SELECT id FROM removable) RETURNING 1),
      gone AS (DELETE FROM users WHERE id IN (SELECT id FROM removable) RETURNING 1)
    SELECT (SELECT count(*) FROM examined) AS examined, (SELECT max(id::text) FROM examined) AS last,
      (SELECT count(*) FROM gone) AS users, (SELECT count(*) FROM left_behind) AS memberships,
      (SELECT count(*) FROM ended) AS sessions`,
  values: [after, days, guests],
})

/** The next user after the id `after`. */
export const selectNextUser = (after: string): Statement => ({
  name: 'select_next_user',
  text: 'SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT 1',
  values: [after],
})

/** Deletes up to so many rows of one table in the first organisations that are marked. */
export const emptyRemoved = (
  table: (typeof removedTables)[number],
  rows: number,
  organisations: number,
): Statement => ({
  name: `empty_removed_${table}`,
  text: `WITH gone AS (
        DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
          SELECT of_org.row FROM (SELECT id FROM removed_organisations ORDER BY id LIMIT $2) r
          CROSS JOIN LATERAL (SELECT t.ctid AS row FROM ${table} t WHERE t.org_id = r.id LIMIT $1) of_org LIMIT $1))
        RETURNING 1)
      SELECT count(*) AS removed FROM gone`,
  values: [rows, organisations],
})

const hasNoRows = removedTables
  .map((table) => `(SELECT true FROM ${table} t WHERE t.org_id = r.id LIMIT 1) IS NULL`)
  .join('\n          AND ')

/** Deletes the first organisations that are marked and have no rows left, and their marks. */
export const deleteRemoved = (organisations: number): Statement => ({
  name: 'delete_removed_organisations',
  text: `WITH first AS (SELECT id FROM removed_organisations ORDER BY id LIMIT $1),
      picked AS (SELECT id FROM first r WHERE ${hasNoRows}),
      gone AS (DELETE FROM organisations WHERE id IN (SELECT id FROM picked) RETURNING 1),
      unmarked AS (DELETE FROM removed_organisations WHERE id IN (SELECT id FROM picked))
    SELECT count(*) AS removed FROM gone`,
  values: [organisations],
})
