import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { until } from '../src/faults/careless-database.ts'
import { send } from '../src/faults/http.ts'
import { connect } from '../src/faults/session.ts'
import { journey } from '../src/releases/journey.ts'
import { repository } from '../src/releases/previous.ts'
import { startPair, startRefused } from '../src/releases/processes.ts'

t.setTimeout(120_000)

/** Of this release, which is too old for the schema of the test. */
const roots = { api: repository, worker: repository }
/** Milliseconds for an order that no worker confirms. Where nothing is broken, it takes less than 1 s. */
const unconfirmedMs = 5000

// The previous release itself runs with the schema of today in e2e/previous-release.test.ts.
t.test('a release that the schema no longer supports takes no traffic, and does not start', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  const running = await startPair(t, url, roots)
  t.same(await journey(running.url), [])

  await admin.query('ALTER TABLE event_log RENAME COLUMN order_ids TO orders')
  await admin.query('INSERT INTO kysely_migration VALUES ($1, now()::text)', ['9999-rename-ids.after-9998'])

  await until(async () => (await send(`${running.url}/readyz`)).status === 503)
  t.match((await send(`${running.url}/readyz`)).body, /"database":"schema too old"/)
  await running.stop()
  const printed =
    /^The schema no longer supports this release: deploy a release with the migration 9998 or a later one\.$/
  for (const kind of ['api', 'worker'] as const) {
    t.match(await startRefused(kind, url, repository), { code: 1, printed }, kind)
  }

  t.comment('control: a release that does not check the schema is ready, and does half of its work')
  const unchecked = await startPair(t, url, roots, preloaded('without-schema-check.ts'))
  t.equal((await send(`${unchecked.url}/readyz`)).status, 200)
  t.same(await journey(unchecked.url, { timeoutMs: unconfirmedMs }), ['confirms no order', 'streams no event'])
  t.equal((await send(`${unchecked.url}/readyz`)).status, 200)
})
