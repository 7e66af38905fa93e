import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'pg'

/** Makes the server keep commits in memory for 10 s where a session is not durable: a crash then undoes them. */
export async function delayCommits(admin: Client): Promise<void> {
  await admin.query("ALTER SYSTEM SET wal_writer_delay = '10s'")
  await admin.query("ALTER SYSTEM SET wal_writer_flush_after = '1GB'")
  await admin.query('SELECT pg_reload_conf()')
}

/** Each session turns synchronous_commit off by itself when it places an order, after every check of its settings. */
export async function placeCarelessly(admin: Client): Promise<void> {
  await admin.query(`
    CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN PERFORM set_config('synchronous_commit', 'off', true); RETURN NULL; END $$;
    CREATE TRIGGER forget BEFORE INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION forget()`)
}

/** Breaks all connections of the service, as a failover does. */
export const breakConnections = (admin: Client) =>
  admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orders'")

/** Waits until `condition` holds; rejects after 60 s. */
export async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const giveUpAt = performance.now() + 60_000; !(await condition()); await delay(50))
    if (performance.now() > giveUpAt) throw new Error(`not within 60 s: ${condition}`)
}
