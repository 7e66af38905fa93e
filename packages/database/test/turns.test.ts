import { setImmediate as endOfTurn } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { connectionOptions } from '../src/connection.ts'
import { type Database, openDatabase } from '../src/database.ts'
import { createTurns } from '../src/turns.ts'
import { createScratchDatabase, newOrganisation } from '../testing/index.ts'
import { until } from './session.ts'
import { insertOrder, selectAll } from './tenant.ts'

t.test('runs so much of each party and of all, in the order of arrival', async (t) => {
  const inTurn = createTurns({ perParty: 2, total: 3, waitingPerParty: 5, maxWaitMs: 1000 })
  const begun: string[] = []
  const ends: (() => void)[] = []
  const add = (party: string, name: string) =>
    inTurn(party, async () => {
      begun.push(name)
      const { promise, resolve } = Promise.withResolvers<void>()
      ends.push(resolve)
      await promise
      if (name === 'a1') throw new Error('failed')
      return name
    }).catch((error: Error) => error.message)

  const work = [add('a', 'a1'), add('a', 'a2'), add('a', 'a3'), add('b', 'b1'), add('b', 'b2')]
  await endOfTurn()
  t.strictSame(begun, ['a1', 'a2', 'b1'])

  for (let ended = 0; ended < work.length; ended++) {
    ends[ended]?.()
    await endOfTurn()
  }
  t.strictSame(begun, ['a1', 'a2', 'b1', 'b2', 'a3'], 'the room of a1 went to b2, which came before a3 had a turn')
  t.strictSame(await Promise.all(work), ['failed', 'a2', 'a3', 'b1', 'b2'])
})

t.test('does not begin work of a party with too much of it, or that has waited too long', async (t) => {
  const inTurn = createTurns({ perParty: 1, total: 1, waitingPerParty: 1, maxWaitMs: 50 })
  const { promise, resolve } = Promise.withResolvers<void>()
  const begun: string[] = []
  const add = (party: string, name: string) => inTurn(party, async () => begun.push(name) && promise)

  const first = add('a', 'a1')
  const late = [add('a', 'a2'), add('b', 'b1')]
  await t.rejects(add('a', 'a3'), { name: 'BusyError' }, 'a has one that waits')
  for (const work of late) await t.rejects(work, { name: 'BusyError' }, 'also while the first goes on')
  resolve()
  await first
  await add('a', 'a4')
  t.strictSame(begun, ['a1', 'a4'])
})

function open(t: Test, url: string, max: number) {
  const pool = new pg.Pool(connectionOptions(url, { max }))
  t.teardown(() => pool.end())
  return openDatabase(pool, () => {})
}

/** Begins transactions that stay open, and returns a function that ends them. */
function hold(database: Database, orgs: string[], options = {}): () => Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const held = orgs.map((org) => database.inTenant(org, () => promise, options))
  return () => {
    resolve()
    return Promise.all(held)
  }
}

const used = ({ poolState }: Database) => poolState().total - poolState().idle

t.test('transactions that wait leave connections to others', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url, 10)
  const org = await newOrganisation(url)
  const others = Array.from({ length: 20 }, (_, i) => `00000000-0000-7000-8000-0000000001${String(i).padStart(2, '0')}`)

  const endOwn = hold(database, Array(20).fill(org))
  await until(() => used(database) === 3)
  t.equal(database.poolState().waiting, 0, 'those of one organisation have 3 of 10')
  const endOthers = hold(database, others)
  await until(() => used(database) === 4)
  t.equal(database.poolState().waiting, 0, 'all have 4')
  const reads = await Promise.all([1, 2, 3, 4, 5, 6].map(() => database.readInTenant(org, selectAll)))
  t.strictSame(reads, [[], [], [], [], [], []])
  await Promise.all([endOwn(), endOthers()])

  t.comment('control: exports, which have a limit of their own, would take all')
  const endExports = hold(database, Array(10).fill(org), { readOnly: true })
  await until(() => used(database) === 10)
  await endExports()
})

t.test('no organisation has all places of a small pool', async (t) => {
  const { url } = await createScratchDatabase(t)
  const org = await newOrganisation(url)
  for (const max of [5, 6, 7, 8]) {
    const database = open(t, url, max)
    const end = hold(database, Array(max).fill(org))
    await database.inTenant('00000000-0000-7000-8000-000000000100', async () => {})
    await end()
  }
})

t.test('a rejected row leaves its connection as it was', async (t) => {
  const { url } = await createScratchDatabase(t)
  const database = open(t, url, 1)
  const org = await newOrganisation(url)
  const [whoAmI, broken] = [
    { name: 'who_am_i', text: 'SELECT pg_backend_pid() AS pid', values: [] },
    { name: 'broken', text: 'SELECT broken', values: [] },
  ]
  const backend = () => database.runGlobal<{ pid: number }>(whoAmI)
  const rejected = (id: string) => insertOrder(org, id, '-1')
  const first = await backend()

  for (const [name, reject] of Object.entries({
    'a burst, whose statement is new to the connection': () => database.runInTenant(org, rejected('a')),
    'a burst whose statement is known': () => database.runInTenant(org, rejected('b')),
    'the second statement of a transaction': () =>
      database.runInTenant(org, insertOrder(org, 'c'), () => rejected('d')),
    'a value that is none': () => database.runInTenant(org, insertOrder(org, 'e', 'none')),
    'a transaction of Kysely': () =>
      database.inTenant(org, (trx) =>
        trx
          .insertInto('orders')
          .values({ org_id: org, id: 'f', amount: '-1', currency: 'EUR', metadata: '{}' })
          .execute(),
      ),
  })) {
    await t.rejects(reject(), { code: /^(23514|22P02)$/ }, name)
    t.strictSame(await backend(), first, name)
    t.strictSame(await database.readInTenant(org, selectAll), [], 'and nothing is written or locked')
  }
  t.match(await database.runInTenant(org, insertOrder(org, 'g')), [{ id: 'g' }])

  t.comment('control: any other error closes it')
  await t.rejects(database.runInTenant(org, broken), { code: '42703' })
  t.notSame(await backend(), first)
})
