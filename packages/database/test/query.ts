import { Client } from 'pg'

/** Runs one statement on a connection of its own; answers with all values of all rows. */
export async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client(url)
  await client.connect()
  const { rows } = await client.query({ text: sql, rowMode: 'array' })
  await client.end()
  return rows.flat()
}
