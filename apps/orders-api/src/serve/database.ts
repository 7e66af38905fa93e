import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { startEmbeddedPostgres } from '@orders/database/embedded'

export interface LocalDatabase {
  url: string
  /** Brings the schema up to the sources as they are now, in a thread that has not loaded older ones. */
  migrate(): Promise<void>
  stop(): Promise<void>
}

interface Options {
  /** The setting CONTEXT_KEY. */
  contextKey: string | undefined
  say(line: string): void
  /** The server ended and could not be started again. */
  onLost(error: unknown): void
}

/** Starts the PostgreSQL of this checkout and keeps it running, on one port. Throws EmbeddedPostgresError. */
export async function openLocalDatabase(dataDir: string, { contextKey, say, onLost }: Options): Promise<LocalDatabase> {
  if (!existsSync(join(dataDir, 'PG_VERSION'))) say('Preparing a database in .data/ ...')
  let server = await startEmbeddedPostgres({ dataDir })
  const { url } = server
  let stopping = false

  const keep = async () => {
    for (;;) {
      await server.exited
      if (stopping) return
      say('PostgreSQL ended unexpectedly; starting it again.')
      server = await startEmbeddedPostgres({ dataDir, port: Number(new URL(url).port) })
    }
  }
  keep().catch(onLost)
  return {
    url,
    migrate: async () => {
      await once(new Worker(new URL('migrate.ts', import.meta.url), { workerData: { url, contextKey } }), 'exit')
    },
    stop: async () => {
      stopping = true
      await server.stop()
    },
  }
}
