import { OrdersError } from '@orders/orders'
import type { Order } from '@orders/schema'
import pg from 'pg'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { guardedRoutes, misplaced, runMatrix } from '../test/access/matrix.ts'
import { makeWorld } from '../test/access/world.ts'
import { type Service, startService } from '../test/service.ts'

const attempts = Number(process.env.N) || 50_000
const seed = Date.now() % 1e9
const GUEST_KEYS = await newGuestKeys('test-key')

/** Numbers from 0 to 1 that a seed repeats. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32
  }
}

async function run(
  t: Test,
  attempts: number,
  breakIt?: (service: Service, admin: pg.Client) => unknown,
  bareShare?: number,
) {
  const service = await startService(t, { GUEST_KEYS, AUTH_MODE: 'required' }, { poolMax: 1 })
  const world = await makeWorld(service)
  const admin = new pg.Client({ connectionString: service.url })
  await admin.connect()
  await breakIt?.(service, admin)
  const found = await runMatrix(service, world, { attempts, bareShare }, randomNumbers(seed))
  const { rows } = await admin.query<{ row: string }>(misplaced(world))
  await admin.end()
  return { ...found, rows: rows.map(({ row }) => row), routes: guardedRoutes(service).length }
}

t.test('nobody reads or writes where they do not belong, on one connection', { timeout: 230_000 }, async (t) => {
  const { wrong, rows, tally, routes } = await run(t, attempts)
  t.comment(`seed ${seed}; ${attempts} attempts on ${routes} routes: ${JSON.stringify([...tally])}`)
  t.strictSame(wrong.slice(0, 20), [])
  t.strictSame(rows, [])
  for (const kind of ['may', 'may not', 'not there']) t.ok((tally.get(kind) ?? 0) > attempts / 20, kind)
})

t.test('control: a look-up that takes everybody for an owner is caught', async (t) => {
  const { wrong, rows } = await run(t, 1500, ({ server }) => {
    const { findAccess } = server.people
    server.people.findAccess = async (userId, orgId, jti) => {
      const found = await findAccess(userId, orgId, jti)
      return found === 'elsewhere' && orgId
        ? { user: { id: userId, name: 'x' }, orgId, role: 'owner', homeOrgId: orgId }
        : found
    }
  })
  t.ok(wrong.some((fault) => /shows mark-/.test(fault)))
  t.ok(wrong.some((fault) => /not there for the caller/.test(fault)))
  t.ok(rows.length > 0, rows[0] ?? '')
})

/** Reads an order by its id alone, past the helper that sets the tenant. */
function readThroughBarePool({ server: { orders, database } }: Service): void {
  orders.getOrder = async (_orgId, id) => {
    const [row] = await database.runGlobal<Order>({
      name: 'bare',
      text: 'SELECT * FROM orders WHERE id = $1',
      values: [id],
    })
    if (!row) throw new OrdersError('ORDER_NOT_FOUND', 'There is none.')
    return { ...row, amount: Number(row.amount) }
  }
}

t.test('control: a query through the bare pool is caught, as it finds nothing', async (t) => {
  const { wrong } = await run(t, 1500, readThroughBarePool)
  t.ok(wrong.some((fault) => /GET .*orders\/\{id\} .*, it is there$/.test(fault)))
  t.notOk(
    wrong.some((fault) => /shows/.test(fault)),
    'row security lets nothing through',
  )
})

t.test('control: tables whose owner row security does not bind are caught, and what then leaks', async (t) => {
  const { wrong } = await run(t, 1500, async (service, admin) => {
    await admin.query('ALTER TABLE orders OWNER TO orders_app; ALTER TABLE orders NO FORCE ROW LEVEL SECURITY')
    readThroughBarePool(service)
  })
  t.ok(wrong.includes('no tenant is set: shows rows of orders'))
  t.ok(wrong.some((fault) => /shows mark-/.test(fault)))
})

t.test('and an owner that it binds sees no more than others', async (t) => {
  const { wrong } = await run(t, 1500, (_service, admin) => admin.query('ALTER TABLE orders OWNER TO orders_app'))
  t.strictSame(wrong, [])
})

t.test('control: a tenant set for the session is caught', async (t) => {
  const keepTenant = ({ server: { orders, database } }: Service) => {
    const { getOrder } = orders
    orders.getOrder = async (orgId, id) => {
      const text = "SELECT set_config('app.org_id', current_setting('app.org_id'), false)"
      await database.runInTenant(orgId, { name: 'stay', text, values: [] })
      return getOrder(orgId, id)
    }
  }
  // The next transaction that resets the connection ends this, so that a rare question might miss it.
  const { wrong } = await run(t, 1500, keepTenant, 1)
  t.ok(wrong.includes('no tenant is set: shows rows of orders'))
})
