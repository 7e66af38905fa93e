import { parseArgs } from 'node:util'
import pg from 'pg'
import { runCommand } from './command.ts'
import { openCommandDatabase, readContextKey } from './command-database.ts'
import { connectionOptions } from './connection.ts'
import { type Database, openDatabase } from './database.ts'
import { compareStatistics, listOrganisations, rebuildStatistics } from './rebuild-statistics.ts'
import { assertSchema } from './servable.ts'

await runCommand(async () => {
  const check = readArguments()
  const contextKey = await readContextKey(process.env)
  const { url, close } = await openCommandDatabase(process.env)
  // All orders of an organisation are read in one statement, however many there are.
  const options = connectionOptions(url, { max: 1, role: 'orders_worker', unlimited: true, contextKey })
  const pool = new pg.Pool({ ...options, lock_timeout: 0 })
  try {
    const database = openDatabase(pool, () => {})
    await assertSchema(database)
    await visitOrganisations(database, check)
  } finally {
    await pool.end()
    await close()
  }
})

/** Prints a line for each organisation. Throws if the statistics of one differed from its orders. */
async function visitOrganisations(database: Database, check: boolean): Promise<void> {
  const orgIds = await listOrganisations(database)
  let differing = 0
  for (const orgId of orgIds) {
    const { orders, differences } = await (check ? compareStatistics : rebuildStatistics)(database, orgId)
    if (differences > 0) differing++
    if (differences > 0 && !check) await assertEqual(database, orgId)
    console.log(`${orgId}: ${outcome(differences, check)} (${orders} orders)`)
  }
  if (differing > 0) throw new Error(summary(differing, check))
  console.log(`The statistics of ${orgIds.length} organisations equal their orders.`)
}

async function assertEqual(database: Database, orgId: string): Promise<void> {
  const { differences } = await compareStatistics(database, orgId)
  if (differences > 0) throw new Error(`The rebuilt statistics of ${orgId} still differ: is a trigger of orders off?`)
}

function outcome(differences: number, check: boolean): string {
  return differences === 0 ? 'equal' : `${differences} rows differed${check ? '' : ', rebuilt and now equal'}`
}

function summary(differing: number, check: boolean): string {
  return check
    ? `The statistics of ${differing} organisations differ from their orders: run npx nx run database:rebuild-statistics.`
    : `The statistics of ${differing} organisations differed from their orders, and are rebuilt.`
}

function readArguments(): boolean {
  try {
    return parseArgs({ options: { check: { type: 'boolean', default: false } } }).values.check
  } catch {
    throw new Error('Unknown argument: use --check to compare and change nothing.')
  }
}
