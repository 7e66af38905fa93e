import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findRunning, startEmbeddedPostgres } from './embedded.ts'
import { DatabaseError } from './errors.ts'

type Environment = Record<string, string | undefined>

export interface CommandDatabase {
  url: string
  /** Ends the database if this process started it. */
  close(): Promise<void>
}

/** Where `npm start` keeps its database. */
const defaultDataDir = join(import.meta.dirname, '../../../.data/postgres')

/**
 * The database that a command works on: DATABASE_URL or DATABASE_URL_FILE, else that of a running `npm start`, else
 * the same one, started for as long as the command runs. Throws what explainDatabaseError explains, or
 * EmbeddedPostgresError.
 */
export async function openCommandDatabase(env: Environment, dataDir = defaultDataDir): Promise<CommandDatabase> {
  const url = (await readUrl(env)) ?? (await findRunning(dataDir))
  if (url) return { url: postgresAddress(url), close: async () => {} }
  const server = await startEmbeddedPostgres({ dataDir })
  return { url: server.url, close: server.stop }
}

function postgresAddress(text: string): string {
  const { protocol, href } = new URL(text)
  if (/^postgres(ql)?:$/.test(protocol)) return href
  throw new DatabaseError(
    `DATABASE_URL is an address of ${protocol}//, not of PostgreSQL: write postgresql://user:password@host:port/database.`,
  )
}

async function readUrl({ DATABASE_URL, DATABASE_URL_FILE }: Environment): Promise<string | undefined> {
  if (!DATABASE_URL_FILE) return DATABASE_URL || undefined
  const text = await readFile(DATABASE_URL_FILE, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new DatabaseError(`DATABASE_URL_FILE cannot be read (${error.code}): name a file that holds the address.`)
  })
  return text.trim()
}
