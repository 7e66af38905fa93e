import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shortestSecret } from './context.ts'
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

const readUrl = (env: Environment) => readSecret(env, 'DATABASE_URL', 'the address')

/**
 * The setting CONTEXT_KEY, or the content of CONTEXT_KEY_FILE. Throws a DatabaseError if the file cannot be read, or if the
 * key could be guessed.
 */
export async function readContextKey(env: Environment): Promise<string | undefined> {
  const key = await readSecret(env, 'CONTEXT_KEY', 'the key')
  if (key === undefined || key.length >= shortestSecret) return key
  throw new DatabaseError(
    `CONTEXT_KEY has ${key.length} characters: set it to a random text of at least ${shortestSecret} characters.`,
  )
}

/** DATABASE_WAIT_MS in milliseconds, by default 0. Throws a DatabaseError if it is no whole number up to 600,000. */
export function readWait({ DATABASE_WAIT_MS = '0' }: Environment): number {
  if (/^\d{1,6}$/.test(DATABASE_WAIT_MS) && Number(DATABASE_WAIT_MS) <= 600_000) return Number(DATABASE_WAIT_MS)
  throw new DatabaseError(`DATABASE_WAIT_MS must be a whole number from 0 to 600000, not "${DATABASE_WAIT_MS}".`)
}

async function readSecret(env: Environment, name: string, content: string): Promise<string | undefined> {
  const file = env[`${name}_FILE`]
  if (!file) return env[name]?.trim() || undefined
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new DatabaseError(`${name}_FILE cannot be read (${error.code}): name a file that holds ${content}.`)
  })
  return text.trim()
}
