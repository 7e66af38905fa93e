import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { send } from '../src/faults/http.ts'
import { connect } from '../src/faults/session.ts'
import { journey } from '../src/releases/journey.ts'
import { checkOutPreviousRelease, type Release, repository, unsupportedMigration } from '../src/releases/previous.ts'
import { migrate, startPair, startRefused } from '../src/releases/processes.ts'

type Previous = { previous: Release; url: string }

/** The tree of the previous release, and a database with its schema. */
async function startWithPrevious(t: Test): Promise<Previous> {
  const previous = checkOutPreviousRelease()
  t.teardown(previous.remove)
  t.comment(`The previous release is ${previous.commit}.`)
  if (!previous.sameDependencies) t.comment('It runs with the dependencies of today, which are not its own.')
  const { url } = await createScratchDatabase(t, { empty: true })
  await migrate(previous.root, url)
  return { previous, url }
}

/** Adds a migration to the tree of a release, and runs it. */
async function plantMigration(root: string, url: string, statement: string): Promise<void> {
  const text = `import { sql } from 'kysely'\nexport const up = async (db) => void (await sql\`${statement}\`.execute(db))\n`
  writeFileSync(join(root, 'packages/database/migrations/9999-planted.ts'), text)
  await migrate(root, url)
}

/** Every combination of the two releases serves the schema of this one. */
async function assertCompatible(t: Test, { previous, url }: Previous): Promise<void> {
  const today = repository

  const running = await startPair(t, url, { api: previous.root, worker: previous.root })
  t.same(await journey(running.url), [], 'previous, before the migration')
  await migrate(today, url)
  t.same(await journey(running.url), [], 'previous, which runs during the migration')
  await running.stop()

  for (const [api, worker, title] of [
    [today, previous.root, 'API of today, previous worker'],
    [previous.root, today, 'previous API, worker of today'],
    [today, today, 'today, on the data of the previous release'],
    [previous.root, previous.root, 'previous, after a rollback'],
  ] as const) {
    const pair = await startPair(t, url, { api, worker })
    t.same(await journey(pair.url), [], title)
    await pair.stop()
  }
}

/** A day after the expansion the schema contracts: the previous release stops at once, and this one serves its data. */
async function assertRefused(t: Test, { previous, url }: Previous, needed: string): Promise<void> {
  const running = await startPair(t, url, { api: previous.root, worker: previous.root })
  const client = await connect(t, url)
  await client.query(`UPDATE kysely_migration SET "timestamp" = ("timestamp"::timestamptz - interval '1 day')::text`)
  await migrate(repository, url)
  const isReady = async () => (await send(`${running.url}/readyz`)).status === 200
  while (await isReady()) await delay(50)
  t.match(await journey(running.url, { timeoutMs: 0 }), [/^places no order: /], 'previous, after the migration')
  await running.stop()

  // The API of the previous release reads the table service_keys before it checks the schema.
  const printed = new RegExp(
    `^The schema no longer supports .+ migration ${needed} or|^permission denied for table service_keys$`,
  )
  for (const kind of ['api', 'worker'] as const) {
    t.match(await startRefused(kind, url, previous.root), { code: 1, printed }, `previous ${kind}`)
  }
  const pair = await startPair(t, url, { api: repository, worker: repository })
  t.same(await journey(pair.url), [], 'today, on the data of the previous release')
  await pair.stop()
}

t.test('the previous release works with the schema of this one, and refuses a contraction of it', async (t) => {
  const started = await startWithPrevious(t)
  const needed = unsupportedMigration(started.previous)
  await assertCompatible(t, started)
  if (needed !== undefined) await assertRefused(t, started, needed)
})

t.test('control: notices a migration that renames a column which the previous API writes', async (t) => {
  const { previous, url } = await startWithPrevious(t)
  const pair = await startPair(t, url, { api: previous.root, worker: previous.root })
  t.same(await journey(pair.url), [])

  await plantMigration(previous.root, url, 'ALTER TABLE orders RENAME COLUMN description TO note')

  t.match(await journey(pair.url), [/^places no order: 500 /])
  await pair.stop()
})

t.test('control: notices a migration that renames a column which the previous worker writes', async (t) => {
  const { previous, url } = await startWithPrevious(t)
  const pair = await startPair(t, url, { api: previous.root, worker: previous.root })
  t.same(await journey(pair.url), [])

  await plantMigration(previous.root, url, 'ALTER TABLE event_log RENAME COLUMN order_ids TO orders')

  t.same(await journey(pair.url, { timeoutMs: 5000 }), ['confirms no order', 'streams no event'])
  await pair.stop()
})
