import t, { type Test } from 'tap'
import type { Database } from '../src/database.ts'
import type { Statement } from '../src/statements.ts'
import { createScratchDatabase } from '../testing/index.ts'
import { interleave } from './interleaving.ts'
import { connect } from './session.ts'
import { open } from './tenant.ts'

const seed = Date.now() % 1e9
t.comment(`seed ${seed}`)

const steps = 2000

type Breach = { sql?: string; database?: (it: Database) => Database; wanted: string[] }

async function run(t: Test, breakIt?: Breach) {
  const { url } = await createScratchDatabase(t)
  const admin = await connect(t, url)
  if (breakIt?.sql) await admin.query(breakIt.sql)
  const database = open(t, url, { statement_timeout: 200, connectionTimeoutMillis: 10_000 })
  return interleave(breakIt?.database?.(database) ?? database, {
    url,
    admin,
    steps,
    random: randomNumbers(seed),
    ...(breakIt && { wanted: breakIt.wanted }),
  })
}

t.test('two tenants on one connection, in any order and through every fault, see their own rows', async (t) => {
  const { leaks, taken, kinds, kept } = await run(t)
  t.comment(JSON.stringify(taken))
  t.strictSame(leaks, [])
  t.equal(Object.keys(taken).length, kinds, 'every kind of step was taken')
  t.ok(kept > 500, `${kept} orders acknowledged`)
})

t.test('a tenant set for the session would be found', async (t) => {
  const keepTenant: Statement = {
    name: 'keep_tenant',
    text: "SELECT set_config('app.org_id', current_setting('app.org_id'), false)",
    values: [],
  }
  const database = (it: Database): Database => ({
    ...it,
    inTenant: async (orgId, work, options) => {
      const result = await it.inTenant(orgId, work, options)
      await it.runInTenant(orgId, keepTenant)
      return result
    },
  })
  const wanted = ['a connection kept its tenant', 'a connection without a tenant saw rows']
  const { leaks } = await run(t, { database, wanted })
  for (const leak of wanted) t.ok(leaks.includes(leak), leak)
})

t.test('a table without row security would be found', async (t) => {
  const wanted = ['a tenant read rows of the other one']
  const { leaks } = await run(t, { sql: 'ALTER TABLE orders DISABLE ROW LEVEL SECURITY', wanted })
  t.ok(leaks.includes('a tenant read rows of the other one'))
})

/** mulberry32 */
function randomNumbers(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
