import pg from 'pg'
import { runCommand } from './command.ts'
import { openCommandDatabase, readContextKey, readWait } from './command-database.ts'
import { contextKeyOf } from './context.ts'
import { migrateToLatest } from './migrate.ts'
import { whenAvailable } from './when-available.ts'

const noKey =
  'No context key was registered: migrate again with the CONTEXT_KEY of the API and the worker, which cannot start without it.'

async function tryConnection(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000 })
  client.on('error', () => {}) // a connection that breaks while it ends: the migration makes its own
  await client.connect()
  await client.end()
}

await runCommand(async () => {
  const waitMs = readWait(process.env)
  const contextKey = await readContextKey(process.env)
  const database = await openCommandDatabase(process.env)
  try {
    let heldBack: string[] = []
    const onHeldBack = (names: string[]) => {
      heldBack = names
    }
    await whenAvailable(waitMs, () => tryConnection(database.url))
    const ran = await migrateToLatest(database.url, { contextKey, onHeldBack })
    for (const name of ran) console.log(`Migrated: ${name}`)
    for (const name of heldBack) console.log(`Held back for the previous release: ${name}. Migrate again in a day.`)
    if (ran.length + heldBack.length === 0) console.log('The schema is up to date.')
    if (!contextKeyOf(database.url, contextKey)) console.log(noKey)
  } finally {
    await database.close()
  }
})
