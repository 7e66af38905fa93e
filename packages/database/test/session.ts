import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'

type Test = { teardown(fn: () => Promise<void>): void }

/** A plain connection for what the service itself may not do; closed when the test ends. */
export async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end().catch(() => {}))
  return client
}

export async function rowsOf(client: pg.Client, text: string, values: unknown[] = []) {
  const { rows } = await client.query(text, values)
  return rows
}

/** Waits until `condition` holds; rejects after 20 s. */
export async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (const giveUpAt = Date.now() + 20_000; !(await condition()); ) {
    if (Date.now() > giveUpAt) throw new Error(`not within 20 s: ${condition}`)
    await delay(10)
  }
}
