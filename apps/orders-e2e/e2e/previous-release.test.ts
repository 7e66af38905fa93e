import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { journey } from '../src/releases/journey.ts'
import { checkOutPreviousRelease, type Release, repository } from '../src/releases/previous.ts'
import { migrate, startPair } from '../src/releases/processes.ts'

/** The tree of the previous release, and a database with its schema. */
async function startWithPrevious(t: Test): Promise<{ previous: Release; url: string }> {
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

t.test('this release and the previous one work with the schema of this one, in every combination', async (t) => {
  const { previous, url } = await startWithPrevious(t)
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
