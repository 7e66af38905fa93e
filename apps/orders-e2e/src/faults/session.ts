import { Client } from 'pg'
import type { Test } from './service-process.ts'

/** A connection of its own to the database at `url`, which ends with the test. */
export async function connect(t: Test, url: string): Promise<Client> {
  const client = new Client({ connectionString: url })
  client.on('error', () => {}) // the server may be killed under it
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** How many rows each table has; of the outbox, how many events. */
export async function countRows(client: Client, tables: string[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of tables) {
    const { rows } = await client.query(
      `SELECT ${table === 'outbox' ? 'sum(events)' : 'count(*)'}::int AS n FROM ${table}`,
    )
    counts[table] = rows[0].n
  }
  return counts
}

/** How many rows of an organisation each table has, without the tables that have none. */
export async function countRowsOf(client: Client, orgId: string): Promise<Record<string, number>> {
  const { rows: tables } = await client.query<{ name: string }>(
    `SELECT relname AS name FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
      WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace AND attname = 'org_id'`,
  )
  const counts: Record<string, number> = {}
  for (const { name } of tables) {
    const { rows } = await client.query(`SELECT count(*)::int AS n FROM ${name} WHERE org_id = $1`, [orgId])
    if (rows[0].n > 0) counts[name] = rows[0].n
  }
  return counts
}
