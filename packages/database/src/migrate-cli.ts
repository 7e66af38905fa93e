import { runCommand } from './command.ts'
import { openCommandDatabase, readContextKey } from './command-database.ts'
import { contextKeyOf } from './context.ts'
import { migrateToLatest } from './migrate.ts'

const noKey =
  'No context key was registered: migrate again with the CONTEXT_KEY of the API and the worker, which cannot start without it.'

await runCommand(async () => {
  const contextKey = await readContextKey(process.env)
  const database = await openCommandDatabase(process.env)
  try {
    let heldBack: string[] = []
    const ran = await migrateToLatest(database.url, {
      contextKey,
      onHeldBack: (names) => {
        heldBack = names
      },
    })
    for (const name of ran) console.log(`Migrated: ${name}`)
    for (const name of heldBack) console.log(`Held back for the previous release: ${name}. Migrate again in a day.`)
    if (ran.length + heldBack.length === 0) console.log('The schema is up to date.')
    if (!contextKeyOf(database.url, contextKey)) console.log(noKey)
  } finally {
    await database.close()
  }
})
