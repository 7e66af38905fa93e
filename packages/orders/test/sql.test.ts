import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Statement, Tables } from '@orders/database'
import { rebuildStatement } from '@orders/database/testing'
import {
  type CompiledQuery,
  type DatabaseConnection,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type Transaction,
} from 'kysely'
import t from 'tap'
import * as deliveries from '../src/delivery-repository.ts'
import * as events from '../src/event-repository.ts'
import * as fanouts from '../src/fanout-repository.ts'
import * as guests from '../src/guest-repository.ts'
import * as orderRows from '../src/order-repository.ts'
import * as people from '../src/people-repository.ts'
import * as placements from '../src/placement-repository.ts'
import * as quotas from '../src/quota-repository.ts'
import * as relays from '../src/relay-repository.ts'
import * as statistics from '../src/statistics-repository.ts'
import * as webhooks from '../src/webhook-repository.ts'
import { claimOf } from './service.ts'

const org = '00000000-0000-7000-8000-000000000000'
const at = '2026-01-01 00:00:00.000001+00'
const row = { id: 'a', amount: '1.50', currency: 'EUR', project_id: null, description: null, metadata: '{}' }
const kept = {
  ...row,
  org_id: org,
  project_id: null,
  status: 'placed',
  metadata: {},
  created_at: at,
  updated_at: at,
  version: 1,
}
const claim = claimOf('key-of-a-request', 1)
const named = { name: 'Lamps', slug: 'lamps' }
const answer = { status: 201, headers: {}, body: '{}' }
const filter = {
  status: 'placed',
  currency: 'EUR',
  project_id: org,
  created_from: at,
  created_to: at,
  amount_min: 1,
  amount_max: 2,
  q: '50%_off\\',
} as const

/** What a repository function sends when it runs by itself. */
async function recorded(run: (trx: Transaction<Tables>) => Promise<unknown>): Promise<CompiledQuery[]> {
  const sent: CompiledQuery[] = []
  class Recorder extends DummyDriver {
    override async acquireConnection(): Promise<DatabaseConnection> {
      return {
        executeQuery: async (query) => {
          sent.push(query)
          return { rows: [kept as never] }
        },
        streamQuery: async function* () {},
      }
    }
  }
  const db = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new Recorder(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  })
  await db.transaction().execute(run)
  return sent
}

const lanes = [{ lane: 3, lease: 7 }]
const limits = { room: 200, failingRoom: 100, leaseSeconds: 60, perWebhook: 4, perOrg: 20 }
const claimed = { org_id: org, delivery_id: org, leased_until: at } as deliveries.ClaimedDelivery
const outcome = {
  state: 'pending',
  pauseSeconds: 5,
  gone: false,
  status: 500,
  reply: 'no',
  error: null,
  duration_ms: 7,
} as const
const position = { created_at: at, id: org }
const key = Buffer.alloc(32)

type Sent = Statement | CompiledQuery[]

const functions: Record<string, () => Sent | Promise<Sent>> = {
  placeOrders: () => placements.placeOrders(org, [row]),
  placeClaimedOrders: () =>
    placements.placeClaimedOrders(org, [
      { ...row, claim },
      { ...row, id: 'b', claim: undefined },
    ]),
  completeClaims: () => placements.completeClaims(org, [{ claim, answer }], [claim]),
  insertAnsweredClaim: () => placements.insertAnsweredClaim(org, claim, answer),
  selectConflicts: () =>
    placements.selectConflicts(org, [
      { id: 'a', claim },
      { id: 'b', claim: undefined },
    ]),
  selectPlaced: () => placements.selectPlaced(org, ['a', 'b']),
  selectProjectIds: () => placements.selectProjectIds(org, [org]),
  selectOrders: () => orderRows.selectOrders(org, ['a', 'b']),
  selectPage: () => orderRows.selectPage(org, {}, 50),
  'selectPage with everything': () => orderRows.selectPage(org, filter, 50, { created_at: at, id: 'a' }),
  lockOrder: () => recorded((trx) => orderRows.lockOrder(trx, org, 'a')),
  updateOrder: () => recorded((trx) => orderRows.updateOrder(trx, org, 'a', { status: 'confirmed' })),
  'updateOrder with everything': () =>
    recorded((trx) => orderRows.updateOrder(trx, org, 'a', { status: 'x', description: null, metadata: '{}' })),
  recordEvent: () => recorded((trx) => events.recordEvent(trx, 'orders.order.placed.v1', kept)),
  selectEvents: () => events.selectEvents(org, 'a', 0, 200),
  selectOrg: () => people.selectOrg(org),
  selectOwnOrgs: () => people.selectOwnOrgs(org, { created_at: at, id: org }, 51),
  insertOrg: () => recorded((trx) => people.insertOrg(trx, { id: org, ...named })),
  lockOrg: () => recorded((trx) => people.lockOrg(trx, org)),
  updateOrg: () => recorded((trx) => people.updateOrg(trx, org, named)),
  deleteOrg: () => recorded((trx) => people.deleteOrg(trx, org)),
  insertProject: () => recorded((trx) => people.insertProject(trx, org, named)),
  selectProjects: () => people.selectProjects(org, undefined, 51),
  selectProject: () => people.selectProject(org, org),
  updateProject: () => people.updateProject(org, org, named),
  deleteProject: () => people.deleteProject(org, org),
  selectMembers: () => people.selectMembers(org, undefined, 51),
  selectMember: () => people.selectMember(org, org),
  upsertMembership: () => recorded((trx) => people.upsertMembership(trx, org, org, 'viewer')),
  deleteMembership: () => recorded((trx) => people.deleteMembership(trx, org, org)),
  countOtherOwners: () => recorded((trx) => people.countOtherOwners(trx, org, org)),
  selectMemberIds: () => recorded((trx) => people.selectMemberIds(trx, org)),
  hasMembership: () => recorded((trx) => people.hasMembership(trx, org)),
  moveEvents: () => relays.moveEvents(2000, 'all', { fromOrg: org, orgs: 500, rows: 500 }),
  leaseLanes: () => relays.leaseLanes(8, 30),
  selectQueued: () => relays.selectQueued(lanes, 25),
  finishBatch: () => relays.finishBatch(lanes, [1, 2]),
  postponeEvent: () => relays.postponeEvent(1, 'will not do', 1000),
  buryEvent: () => relays.buryEvent(1, 'will not do'),
  selectDeadLetters: () => relays.selectDeadLetters(org, position, 51),
  replayDeadLetter: () => relays.replayDeadLetter(org, org),
  selectLag: () => relays.selectLag,
  countRows: () => recorded((trx) => quotas.countRows(trx, 'webhooks', org)),
  insertWebhook: () => recorded((trx) => webhooks.insertWebhook(trx, org, { url: 'https://example.com' }, key)),
  reserveLines: () => quotas.reserveLines(org, 500, 1000),
  selectOrdersUse: () => quotas.selectOrdersUse(org),
  selectUse: () => quotas.selectUse(org),
  selectStatistics: () =>
    statistics.selectStatistics(org, {
      from: at,
      to: at,
      firstDay: '2026-01-02',
      endDay: '2026-01-03',
      parts: [{ sign: -1, from: at, to: at }],
    }),
  foldStatistics: () => statistics.foldStatistics(10_000),
  selectUncounted: () => statistics.selectUncounted,
  recordCounted: () => statistics.recordCounted(org),
  rebuildStatistics: () => rebuildStatement(org),
  selectStatisticsBacklog: () => statistics.selectStatisticsBacklog,
  selectWebhook: () => webhooks.selectWebhook(org, org),
  selectWebhooks: () => webhooks.selectWebhooks(org, position, 51),
  lockWebhook: () => recorded((trx) => webhooks.lockWebhook(trx, org, org)),
  updateWebhook: () => recorded((trx) => webhooks.updateWebhook(trx, org, org, { enabled: false })),
  replaceKey: () => recorded((trx) => webhooks.replaceKey(trx, org, org, key, 24)),
  deleteWebhook: () => webhooks.deleteWebhook(org, org),
  selectDeliveries: () => webhooks.selectDeliveries(org, org, undefined, 51),
  insertTest: () => webhooks.insertTest(org, org, 'orders.webhook.test.v1'),
  resendDelivery: () => webhooks.resendDelivery(org, org),
  selectDelivery: () => webhooks.selectDelivery(org, org),
  selectNextUser: () => guests.selectNextUser(org),
  removeInactiveGuests: () => guests.removeInactiveGuests(org, 31, 100),
  ...Object.fromEntries(
    guests.removedTables.map((table) => [`emptyRemoved ${table}`, () => guests.emptyRemoved(table, 5000, 100)]),
  ),
  deleteRemoved: () => guests.deleteRemoved(100),
  fanOut: () => fanouts.fanOut({ events: 500, due: 500 }),
  claimDeliveries: () => deliveries.claimDeliveries(limits),
  finishDelivery: () => deliveries.finishDelivery(claimed, outcome, 5),
  selectDeliveryLag: () => deliveries.selectDeliveryLag,
}

/** A worker's own book-keeping, of rows that it has found for itself. */
const ofWorkers = ['leaseLanes', 'finishBatch', 'postponeEvent', 'selectLag', 'selectNextUser']

const textOf = (sent: Sent) => (Array.isArray(sent) ? sent.map(({ sql }) => sql).join(';\n') : sent.text)
const valuesOf = (sent: Sent) =>
  JSON.stringify(Array.isArray(sent) ? sent.map((it) => it.parameters) : sent.values, null, 1)

for (const [name, build] of Object.entries(functions)) {
  t.test(name, async (t) => {
    const sent = await build()
    t.matchSnapshot(`${textOf(sent)}\n\n${valuesOf(sent)}`, name)
    if (!ofWorkers.includes(name))
      t.match(textOf(sent), /org_id|organisations/, 'it names the organisation, besides the policy')
  })
}

t.test('no function of a repository is missing here', async (t) => {
  const folder = join(import.meta.dirname, '../src')
  const exported = readdirSync(folder)
    .filter((file) => file.endsWith('-repository.ts'))
    .flatMap((file) => [
      ...readFileSync(join(folder, file), 'utf8').matchAll(/^export (?:async )?(?:function|const) (\w+)/gm),
    ])
    .map(([, name]) => name as string)
  t.ok(exported.length > 10)
  // `filtered` is a part of selectPage, and emptyRemoved has an entry for each table.
  t.strictSame(
    exported.filter((name) => !(name in functions)),
    ['removedTables', 'emptyRemoved', 'filtered'],
  )
})

t.test('one name is one text', async (t) => {
  const names = new Map<string, string>()
  for (const build of Object.values(functions)) {
    const sent = await build()
    if (Array.isArray(sent)) continue
    t.equal(names.get(sent.name) ?? sent.text, sent.text, sent.name)
    names.set(sent.name, sent.text)
    t.ok(sent.name.length < 64, 'PostgreSQL would cut a longer name')
  }
})
