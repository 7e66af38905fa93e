import { runCommand } from './command.ts'
import { openCommandDatabase } from './command-database.ts'
import { migrateToLatest } from './migrate.ts'

await runCommand(async () => {
  const database = await openCommandDatabase(process.env)
  try {
    const ran = await migrateToLatest(database.url)
    for (const name of ran) console.log(`Migrated: ${name}`)
    if (ran.length === 0) console.log('The schema is up to date.')
  } finally {
    await database.close()
  }
})
