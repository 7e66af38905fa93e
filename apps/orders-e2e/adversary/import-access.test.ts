import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { until } from '../src/faults/careless-database.ts'
import { call, type Guest, newGuestKeys, newOrg, setRole, signIn } from '../src/faults/guests.ts'
import { ndjson, type Open, openResponse } from '../src/faults/open-response.ts'
import { serve } from '../src/faults/service-process.ts'
import { connect, countRowsOf } from '../src/faults/session.ts'

t.setTimeout(120_000)

const { url: DATABASE_URL } = await createScratchDatabase(t)
const settings = { DATABASE_URL, GUEST_KEYS: newGuestKeys(), RATE_LIMITS: 'off', AUTH_MODE: 'required' }
const { url } = await serve(t, settings)
/** Here, access ends after the last check of an import. */
const unchecked = await serve(t, { ...settings, ...preloaded('without-access-checks.ts?rechecks') })
const admin = await connect(t, DATABASE_URL)
const order = (id: string) => `${JSON.stringify({ id, amount: 1 })}\n`

/** Begins an import whose first line is rejected, and which waits for more lines. */
async function startImport(at: string, { authorization }: Guest, orgId: string): Promise<Open> {
  const headers = { ...ndjson, authorization, 'x-org-id': orgId }
  return openResponse(`${at}/api/v1/orders/import`, { method: 'POST', headers, body: '{}\n', more: true })
}

/** The last line of a whole response. */
async function readReport({ ended }: Open): Promise<object> {
  const { text, complete } = await ended
  return { complete, ...JSON.parse(text.trimEnd().split('\n').at(-1) ?? '') }
}

/** A new organisation, its owner, and how the owner deletes it. */
async function createOrg() {
  const owner = await signIn(url)
  const orgId = await newOrg(url, owner)
  return { owner, orgId, deleteOrg: async () => (await call(url, owner, 'DELETE', `/orgs/${orgId}`)).status }
}

// It holds a number of lines, and the worker removes it a week later.
const onlyTheQuota = { import_days: 1 }
const noOrder = { complete: true, type: 'report', placed_count: 0 }

t.test('an import whose organisation is deleted ends with a report, and leaves no row', async (t) => {
  const { owner, orgId, deleteOrg } = await createOrg()
  const lines = await startImport(url, owner, orgId)

  t.equal(await deleteOrg(), 204)

  t.match(await readReport(lines), { ...noOrder, lines: 1, failure: { error: 'ORG_NOT_FOUND', through_line: 1 } })
  t.strictSame(await countRowsOf(admin, orgId), onlyTheQuota)
})

t.test('an order that is placed while its organisation is deleted leaves no row', async (t) => {
  const { owner, orgId } = await createOrg()
  const lines = await startImport(url, owner, orgId)
  await admin.query('BEGIN')
  await admin.query('DELETE FROM organisations WHERE id = $1', [orgId])
  const { rows } = await admin.query('SELECT pg_backend_pid() AS pid')
  const isAwaited = 'SELECT FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))'

  lines.request.write(order('meanwhile'))
  await until(async () => (await admin.query(isAwaited, [rows[0].pid])).rows.length > 0)
  await admin.query('COMMIT')

  t.match(await readReport(lines), { ...noOrder, failure: { error: 'ORG_NOT_FOUND' } })
  t.strictSame(await countRowsOf(admin, orgId), onlyTheQuota)
})

t.test('an order that arrives before the deletion is noticed leaves no row', async (t) => {
  const placeAfterDeletion = async () => {
    const { owner, orgId, deleteOrg } = await createOrg()
    const lines = await startImport(unchecked.url, owner, orgId)
    t.equal(await deleteOrg(), 204)
    lines.request.end(order('late'))
    return { report: await readReport(lines), text: lines.text(), rows: await countRowsOf(admin, orgId) }
  }

  const { rows, ...response } = await placeAfterDeletion()
  t.match(response, { report: { ...noOrder, lines: 2 }, text: /"line":2,"error":"ORG_NOT_FOUND"/ })
  t.strictSame(rows, onlyTheQuota)

  await admin.query('ALTER TABLE order_statistics_changes DROP CONSTRAINT orders_org_fkey')
  t.match(
    await placeAfterDeletion(),
    { report: { lines: 2, placed_count: 1 }, rows: { orders: 1, order_events: 1, outbox: 1 } },
    'control: a schema that does not bind orders to their organisation',
  )
})

t.test('an import of a removed member places what its report states, and nothing later', async (t) => {
  const removeMeanwhile = async (at: string) => {
    const [owner, member] = [await signIn(url), await signIn(url)]
    const { orgId } = owner
    await setRole(url, owner, member, 'member')
    const lines = await startImport(at, member, orgId)
    lines.request.write(order('before'))
    await until(async () => (await call(url, owner, 'GET', '/orders/before')).status === 200)
    t.equal((await call(url, owner, 'DELETE', `/orgs/${orgId}/members/${member.id}`)).status, 204)
    return { orgId, lines }
  }

  const { orgId, lines } = await removeMeanwhile(url)
  const failure = { error: 'ORG_NOT_FOUND', through_line: 2 }
  t.match(await readReport(lines), { complete: true, lines: 2, placed_count: 1, failure })
  t.match(await countRowsOf(admin, orgId), { orders: 1, order_events: 1, outbox: 1 })

  const kept = await removeMeanwhile(unchecked.url)
  kept.lines.request.end(order('after'))
  t.match(await readReport(kept.lines), { complete: true, lines: 3, placed_count: 2 })
  t.match(await countRowsOf(admin, kept.orgId), { orders: 2, order_events: 2 }, 'control: access is not checked again')
})
