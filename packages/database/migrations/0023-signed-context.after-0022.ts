import { type Kysely, sql } from 'kysely'
import { createRejection } from './0022-context-keys.ts'

/** Rejects the unsigned settings of releases without 0022: SQL that an attacker injects can write these. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await createRejection(db, 'reject unsigned')
  await sql`REVOKE SELECT ON service_keys FROM orders_app`.execute(db)
}
