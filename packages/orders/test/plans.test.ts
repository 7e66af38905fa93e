import { connectionOptions } from '@orders/database'
import { createScratchDatabase, rebuildStatement } from '@orders/database/testing'
import pg from 'pg'
import t from 'tap'
import { claimDeliveries, finishDelivery } from '../src/delivery-repository.ts'
import { selectLogged } from '../src/event-log.ts'
import { fanOut } from '../src/fanout-repository.ts'
import { deleteRemoved, emptyRemoved, removedTables, removeInactiveGuests } from '../src/guest-repository.ts'
import { selectOrders, selectPage } from '../src/order-repository.ts'
import { confirmPlaced, createProcessing } from '../src/process-events.ts'
import { finishBatch, leaseLanes, moveEvents, selectQueued } from '../src/relay-repository.ts'
import {
  foldStatistics,
  selectStatistics,
  selectStatisticsBacklog,
  selectUncounted,
} from '../src/statistics-repository.ts'

const org = '00000000-0000-7000-8000-000000000000'
const { effect } = createProcessing({ database: undefined as never, onEvents: () => {} })
const limits = { room: 1, failingRoom: 1, leaseSeconds: 1, perWebhook: 1, perOrg: 1 }

const statements = {
  move: moveEvents(500, 'none', { fromOrg: org, orgs: 500, rows: 500 }),
  confirmMoved: effect.of(org, []),
  confirmPlaced: confirmPlaced(org, []),
  lease: leaseLanes(8, 30),
  queued: selectQueued([], 10),
  finishBatch: finishBatch([], []),
  fanOut: fanOut({ events: 500, due: 500 }),
  claim: claimDeliveries(limits),
  finishDelivery: finishDelivery({} as never, {} as never, 5),
  log: selectLogged(org, 0, 200),
  removeInactiveGuests: removeInactiveGuests(org, 31, 100),
  ...Object.fromEntries(removedTables.map((table) => [`emptyRemoved ${table}`, emptyRemoved(table, 5000, 100)])),
  deleteRemoved: deleteRemoved(100),
  foldStatistics: foldStatistics(10_000),
  selectUncounted,
  rebuildStatistics: rebuildStatement(org),
  statisticsBacklog: selectStatisticsBacklog,
  statistics: selectStatistics(org, { from: '', to: '', firstDay: '2026-01-01', endDay: '2026-01-02', parts: [] }),
}

type Node = {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  Plans?: Node[]
}

/** What a plan reads from end to end, unless a LIMIT above ends it: cheap while the table is empty, and kept when it is not. */
function readWhole(node: Node, limited = false): string[] {
  const { 'Node Type': type, 'Relation Name': table, 'Index Name': index, 'Index Cond': condition, Plans = [] } = node
  // context_keys has two rows.
  const whole =
    (type === 'Seq Scan' && table !== 'context_keys') ||
    (type.startsWith('Index') && index?.endsWith('_pkey') && !condition)
  return [
    ...(whole && !limited ? [`${type} of ${table}`] : []),
    ...Plans.flatMap((child) => readWhole(child, limited || type === 'Limit')),
  ]
}

t.test('plans that are made while the tables are empty find rows by their keys', async (t) => {
  const { url } = await createScratchDatabase(t)
  const plansOf = async (options: pg.ClientConfig) => {
    const client = new pg.Client(options)
    await client.connect()
    t.teardown(() => client.end())
    return async (text: string) => {
      const { rows } = await client.query(`EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`)
      return readWhole(rows[0]['QUERY PLAN'][0].Plan)
    }
  }
  const planned = await plansOf(connectionOptions(url, { role: 'orders_worker' }))
  const plannedInOrg = await plansOf(connectionOptions(url))
  const inOrg = ['confirmMoved', 'confirmPlaced', 'log', 'statistics']
  for (const [name, { text }] of Object.entries(statements)) {
    t.strictSame(await (inOrg.includes(name) ? plannedInOrg : planned)(text), [], name)
  }

  const asAnybody = await plansOf({ connectionString: url })
  t.not((await asAnybody(statements.finishDelivery.text)).length, 0, 'control: settings of our own are needed')
  const joined = `SELECT FROM unnest($1::text[]) AS q (id) JOIN orders o ON o.org_id = $2 AND o.id = q.id`
  t.not((await asAnybody(joined)).length, 0, 'control: a join')
})

const pages = {
  'the first page': selectPage(org, {}, 50),
  'the next page': selectPage(org, {}, 50, { created_at: '2026-01-01', id: 'a' }),
}

t.test('a page whose plan is kept reads only its own rows, however many the organisation has', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())
  await admin.query(
    `INSERT INTO orders (org_id, id, amount, currency, created_at)
      SELECT $1, i::text, 1, 'EUR', now() - random() * interval '1 year' FROM generate_series(1, 20000) AS i`,
    [org],
  )
  const kinds = async (text: string): Promise<string[]> => {
    const { rows } = await admin.query(`EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`)
    const all = (node: Node): string[] => [node['Node Type'], ...(node.Plans ?? []).flatMap(all)]
    return all(rows[0]['QUERY PLAN'][0].Plan)
  }

  await admin.query('ANALYZE orders')
  for (const [name, { text, onePlan }] of Object.entries(pages)) {
    t.ok(onePlan, `${name} has one plan for all values`)
    t.strictSame(await kinds(text), ['Limit', 'Index Scan'], name)
  }
  const byAmount = pages['the first page'].text.replace('order by "created_at"', 'order by "amount"')
  t.ok((await kinds(byAmount)).includes('Sort'), 'control: another order')
  t.ok(selectOrders(org, ['a']).onePlan)
  t.notOk(selectPage(org, { q: 'text' }, 50).onePlan, 'the plan of a search depends on its text')
})
