import { randomUUID } from 'node:crypto'
import type { OrderFilter } from '@orders/schema'
import t from 'tap'
import { createCursors } from '../src/cursor.ts'
import { createRoom } from '../src/page-bytes.ts'
import { toRfc3339 } from '../src/row.ts'
import { rowsOf, startOrders } from './service.ts'

type Service = Awaited<ReturnType<typeof startOrders>>

async function readAll({ orders, org }: Service, filter: OrderFilter, limit: number) {
  const pages: string[][] = []
  let cursor: string | undefined
  do {
    const page = await orders.listOrders(org, { filter, limit, cursor })
    pages.push(page.data.map(({ id }) => id))
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
  return pages
}

async function makeProject({ admin, org }: Service): Promise<{ id: string }> {
  const { rows } = await admin.query("INSERT INTO projects (org_id, name, slug) VALUES ($1, 'p', 'p') RETURNING id", [
    org,
  ])
  return rows[0]
}

/** Orders with given times, which the service itself takes from the clock. */
async function insert({ admin, org }: Service, rows: Record<string, unknown>[]) {
  await admin.query(
    `INSERT INTO orders (org_id, id, amount, currency, status, description, created_at, project_id)
    SELECT $1, id, coalesce(amount, 1), coalesce(currency, 'EUR'), coalesce(status, 'placed'), description,
      coalesce(created_at, now()), project_id
    FROM jsonb_to_recordset($2) AS row (id text, amount numeric, currency text, status text, description text,
      created_at timestamptz, project_id uuid)`,
    [org, JSON.stringify(rows)],
  )
}

t.test('pages are newest first, whole, and stable while orders arrive', async (t) => {
  const service = await startOrders(t)
  const { orders, org } = service
  // Equal times and times that differ by a microsecond, over every edge of a page.
  await insert(
    service,
    Array.from({ length: 23 }, (_, i) => ({
      id: `o-${String(i).padStart(2, '0')}`,
      created_at: `2026-01-01 00:00:00.00000${Math.floor(i / 4)}+00`,
    })),
  )
  const expected = Array.from({ length: 23 }, (_, i) => `o-${String(22 - i).padStart(2, '0')}`)
  for (const limit of [1, 2, 5, 22, 23, 24, 200]) {
    const pages = await readAll(service, {}, limit)
    t.strictSame(pages.flat(), expected, `pages of ${limit}`)
    t.equal(pages.length, Math.ceil(23 / limit))
  }
  const first = await orders.listOrders(org, { filter: {}, limit: 10, cursor: undefined })
  await orders.placeOrder(org, { id: 'newer', amount: 1 })
  const second = await orders.listOrders(org, { filter: {}, limit: 10, cursor: first.next_cursor ?? undefined })
  t.strictSame(
    [...first.data, ...second.data].map(({ id }) => id),
    expected.slice(0, 20),
  )
  const large = await orders.listOrders(org, { filter: {}, limit: 1_000_000, cursor: undefined })
  t.equal(large.data.length, 24, 'more than a page at most is a page at most')
})

t.test('filters', async (t) => {
  const service = await startOrders(t)
  const { id: project } = await makeProject(service)
  await insert(service, [
    { id: 'lamp-1', amount: 10, created_at: '2026-01-01T00:00:00Z', description: 'A desk lamp' },
    { id: 'lamp-2', amount: 20.5, currency: 'USD', created_at: '2026-01-02T00:00:00Z', status: 'confirmed' },
    { id: 'LAMP-3', amount: 30, created_at: '2026-01-03T00:00:00Z', project_id: project },
    { id: 'x', amount: 0.01, created_at: '2026-01-04T00:00:00Z', description: '100 % LAMP_oil \\ wick' },
  ])
  for (const [filter, ids] of [
    [{}, ['x', 'LAMP-3', 'lamp-2', 'lamp-1']],
    [{ status: 'confirmed' }, ['lamp-2']],
    [{ currency: 'USD' }, ['lamp-2']],
    [{ currency: 'GBP' }, []],
    [{ project_id: project }, ['LAMP-3']],
    [{ created_from: '2026-01-02T00:00:00Z', created_to: '2026-01-04T00:00:00Z' }, ['LAMP-3', 'lamp-2']],
    [{ amount_min: 10, amount_max: 20.5 }, ['lamp-2', 'lamp-1']],
    [{ amount_max: 0.01 }, ['x']],
    [{ q: 'lamp' }, ['x', 'lamp-2', 'lamp-1']],
    [{ q: 'lamp-' }, ['lamp-2', 'lamp-1']],
    [{ q: '%' }, ['x']],
    [{ q: 'P_o' }, ['x']],
    [{ q: '\\' }, ['x']],
    [{ q: '_' }, ['x']],
    [{ q: "' OR true --" }, []],
    [{ status: 'placed', currency: 'EUR', q: 'desk' }, ['lamp-1']],
  ] as [OrderFilter, string[]][]) {
    t.strictSame((await readAll(service, filter, 50)).flat(), ids, JSON.stringify(filter))
  }
})

t.test('requests for one page share its query, and single orders share theirs', async (t) => {
  const service = await startOrders(t, { max: 1 })
  const { orders, org } = service
  await insert(service, [{ id: 'a' }, { id: 'b' }])
  const page = { filter: {}, limit: 10, cursor: undefined }
  const [one, two, other] = await Promise.all([
    orders.listOrders(org, page),
    orders.listOrders(org, page),
    orders.listOrders(randomUUID(), page),
  ])
  t.equal(one, two)
  t.strictSame(other.data, [], 'but not with another organisation')
  const found = await Promise.all(['b', 'a', 'b'].map((id) => orders.getOrder(org, id)))
  t.strictSame(
    found.map(({ id }) => id),
    ['b', 'a', 'b'],
  )
  await t.rejects(orders.getOrder(randomUUID(), 'a'), { code: 'ORDER_NOT_FOUND' })
})

t.test('a cursor works for its own organisation and filters, unchanged', async (t) => {
  const service = await startOrders(t)
  const { orders, org } = service
  await insert(service, [{ id: 'a' }, { id: 'b' }, { id: 'c' }])
  const list = (cursor: string, where = org, filter: OrderFilter = {}) =>
    orders.listOrders(where, { filter, limit: 1, cursor })
  const { next_cursor } = await orders.listOrders(org, { filter: {}, limit: 1, cursor: undefined })
  const cursor = next_cursor as string
  t.equal((await list(cursor)).data.length, 1)
  await t.rejects(list(cursor, randomUUID()), { code: 'CURSOR_INVALID' })
  await t.rejects(list(cursor, org, { currency: 'EUR' }), { code: 'CURSOR_INVALID' })
  for (const forged of [
    '',
    'x',
    `${cursor}A`,
    `${cursor}=`,
    ` ${cursor}`,
    cursor.slice(0, -2),
    cursor.toUpperCase(),
    'AAAA'.repeat(20),
  ]) {
    await t.rejects(list(forged), { code: 'CURSOR_INVALID' }, JSON.stringify(forged))
  }
})

t.test('no change of a single character of a cursor goes unseen', async (t) => {
  const cursors = createCursors(Buffer.alloc(32, 1))
  const position = { created_at: '2026-01-01 00:00:00.123456+00', id: 'a.b-c_d' }
  const cursor = cursors.seal('scope', position)
  t.strictSame(cursors.open('scope', cursor), position)
  t.throws(() => cursors.open('other', cursor), { code: 'CURSOR_INVALID' })
  t.throws(() => createCursors(Buffer.alloc(32, 2)).open('scope', cursor), { code: 'CURSOR_INVALID' }, 'another key')
  for (let i = 0; i < cursor.length; i++) {
    for (const character of 'Aa0_') {
      if (cursor[i] === character) continue
      t.throws(() => cursors.open('scope', cursor.slice(0, i) + character + cursor.slice(i + 1)), {
        code: 'CURSOR_INVALID',
      })
    }
  }
})

t.test('a history is read from any event on', async (t) => {
  const { orders, org } = await startOrders(t)
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  for (let i = 0; i < 4; i++) await orders.editOrder(org, 'a', { description: `edit ${i}` }, () => true)
  const sequences = async (range?: { after?: number; limit?: number }) =>
    (await orders.listEvents(org, 'a', range)).events.map(({ sequence }) => sequence)
  t.strictSame(await sequences(), [1, 2, 3, 4, 5])
  t.strictSame(await sequences({ after: 2 }), [3, 4, 5])
  t.strictSame(await sequences({ after: 1, limit: 2 }), [2, 3])
  t.strictSame(await sequences({ after: 5 }), [])
  for (const limit of [1, 4, 5, 200])
    t.equal((await orders.listEvents(org, 'a', { limit })).hasMore, limit < 5, `up to ${limit} of 5 events`)
})

t.test('times come in RFC 3339 with milliseconds, whatever PostgreSQL leaves out', async (t) => {
  const { admin } = await startOrders(t)
  await admin.query("SET TimeZone = 'UTC'")
  for (const [micros, expected] of [
    [0, '000'],
    [1, '000'],
    [999, '000'],
    [1000, '001'],
    [120_000, '120'],
    [123_456, '123'],
    [999_999, '999'],
  ] as const) {
    const [row] = await rowsOf(
      admin,
      `SELECT (timestamptz '2026-02-03 04:05:06Z' + ${micros} * interval '1 microsecond')::text AS text`,
    )
    t.equal(toRfc3339(row.text), `2026-02-03T04:05:06.${expected}Z`)
  }
})

t.test('a page holds at most 1 MiB, and the next page begins where it ended', async (t) => {
  const service = await startOrders(t)
  const { orders, org, admin } = service
  await admin.query(
    `INSERT INTO orders (org_id, id, amount, currency, metadata)
    SELECT $1, 'large-' || n, 1, 'EUR', (SELECT jsonb_object_agg('k' || k, repeat('ü', 450)) FROM generate_series(1, 50) k)
    FROM generate_series(1, 70) n`,
    [org],
  )
  await insert(
    service,
    Array.from({ length: 200 }, (_, i) => ({
      id: `small-${i}`,
      description: 'x'.repeat(499),
      created_at: '2020-01-01',
    })),
  )

  const small = await orders.listOrders(org, { filter: { q: 'small-' }, limit: 200, cursor: undefined })
  const pages = await readAll(service, { q: 'large-' }, 200)
  const first = await orders.listOrders(org, { filter: { q: 'large-' }, limit: 200, cursor: undefined })

  t.equal(small.data.length, 200, 'small orders fill a page by their number')
  t.ok(Buffer.byteLength(JSON.stringify(first.data)) <= 1024 * 1024)
  t.ok(Buffer.byteLength(JSON.stringify(first.data)) > 900_000, 'no page is shorter than it has to be')
  t.strictSame(new Set(pages.flat()).size, 70)
  t.equal(pages.flat().length, 70, 'each order is on one page')
})

t.test('a page has room for its first order, however large', async (t) => {
  const fits = createRoom(10)
  const large = { description: 'x'.repeat(100), metadata: {} } as never
  t.strictSame([fits(large), fits(large)], [true, false])
})

t.test('a history of large events comes in parts', async (t) => {
  const service = await startOrders(t)
  const { orders, org, admin } = service
  await orders.placeOrder(org, { id: 'a', amount: 1 })
  await admin.query(
    `INSERT INTO order_events (org_id, order_number, sequence, type, status, description, metadata)
    SELECT org_id, number, n, 'orders.order.updated.v1', 'placed', NULL,
      (SELECT jsonb_object_agg('k' || k, repeat('x', 450)) FROM generate_series(1, 50) k)
    FROM orders, generate_series(2, 100) n WHERE org_id = $1`,
    [org],
  )
  const sequences: number[] = []
  for (let more = true; more; ) {
    const part = await orders.listEvents(org, 'a', { after: sequences.at(-1) ?? 0 })
    t.ok(Buffer.byteLength(JSON.stringify(part.events)) <= 1024 * 1024)
    sequences.push(...part.events.map(({ sequence }) => sequence))
    more = part.hasMore
  }
  t.strictSame(
    sequences,
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
})
