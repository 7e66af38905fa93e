import t, { type Test } from 'tap'
import { createChanging } from '../src/change-order.ts'
import { createImporting } from '../src/import-orders.ts'
import { createOrderQuota, metadataBytes } from '../src/order-quota.ts'
import { createPlacing } from '../src/place-order.ts'
import { defaultQuotas, QuotaExceeded } from '../src/quotas.ts'
import { createUsage } from '../src/usage.ts'
import { startOrders } from './service.ts'

const changed = { orders: 3, 'metadata-bytes': 30 }

/** Two processes on one database, each with a clock of its own that the test moves. */
async function start(t: Test, quotas = { ...defaultQuotas, ...changed }) {
  const { org, database } = await startOrders(t)
  const clock = { now: 0 }
  const open = () => {
    const quota = createOrderQuota(database, quotas, () => clock.now)
    const options = { database, quota, defaultCurrency: 'EUR', onEvents: () => {} }
    return {
      ...createPlacing({ ...options, answerFor: () => ({ status: 201, headers: {}, body: '' }), onBatch: () => {} }),
      ...createImporting(options),
      ...createChanging(database, quota, () => {}),
    }
  }
  const usage = createUsage(database, quotas)
  const used = async () => {
    const [orders, bytes] = await usage(org)
    return [orders?.used, bytes?.used]
  }
  return { org, clock, used, first: open(), second: open() }
}

const order = (id: string, metadata = {}) => ({ id, amount: 1, metadata })
const claim = { route: 'r', principal: 'p', key: 'k', fingerprint: Buffer.from('f') }

t.test('an organisation places no more orders than its quota, also at the same time', async (t) => {
  const { org, used, first } = await start(t)

  const placed = await Promise.allSettled([1, 2, 3, 4, 5].map((n) => first.placeOrder(org, order(`${n}`))))

  const refused = placed.flatMap((it) => (it.status === 'rejected' ? [it.reason] : []))
  t.equal(refused.length, 2)
  t.type(refused[0], QuotaExceeded)
  t.match(refused[0], { code: 'QUOTA_EXCEEDED', quota: { name: 'orders', used: 3, limit: 3 } })
  t.equal(refused[0].message, 'The organisation has 3 of at most 3 orders; 1 more exceed the quota.')
  t.strictSame(await used(), [3, 0])
})

t.test('above the quota, a repeated request still gets its first answer', async (t) => {
  const { org, first } = await start(t)
  await first.placeOrder(org, order('a'), claim)
  for (const id of ['b', 'c']) await first.placeOrder(org, order(id))

  t.match(await first.placeOrder(org, order('a'), claim), { replayed: true })
  t.match(await first.placeOrder(org, order('b')), { replayed: false, created: false, order: { id: 'b' } })
  await t.rejects(first.placeOrder(org, { ...order('b'), amount: 2 }), { code: 'ORDER_ID_TAKEN' })
  await t.rejects(first.placeOrder(org, order('d'), { ...claim, key: 'other' }), { code: 'QUOTA_EXCEEDED' })
})

t.test('counts orders of another process within 5 s', async (t) => {
  const { org, clock, used, first, second } = await start(t)
  await second.placeOrder(org, order('a'))
  for (const id of ['b', 'c']) await first.placeOrder(org, order(id))

  clock.now += 5000
  // The read that this request starts serves the requests after it.
  await second.placeOrder(org, order('d'))
  const refused = async () => {
    for (let n = 0; ; n++) {
      const error = await second.placeOrder(org, order(`${n}`)).then(
        () => undefined,
        (reason) => reason,
      )
      if (error) return error
    }
  }

  t.match(await refused(), { code: 'QUOTA_EXCEEDED', quota: { name: 'orders' } })
  const [orders = 0] = await used()
  t.ok(orders >= 4 && orders < 10, `${orders} orders`)
})

t.test('metadata grows up to its quota, and can always become shorter', async (t) => {
  const { org, clock, used, first } = await start(t)
  const isCurrent = () => true
  await first.placeOrder(org, order('a', { note: '0123456789' })) // "note":"0123456789"
  t.strictSame(await used(), [1, 20], 'PostgreSQL adds a space behind the colon')

  const longer = { note: '012345678901234567890' } // 31 bytes
  await t.rejects(first.placeOrder(org, order('b', { note: '0123456789' })), {
    code: 'QUOTA_EXCEEDED',
    quota: { name: 'metadata-bytes', limit: 30 },
  })
  await t.rejects(first.editOrder(org, 'a', { metadata: longer }, isCurrent), { code: 'QUOTA_EXCEEDED' })
  await first.placeOrder(org, order('b'))
  await first.editOrder(org, 'a', { description: 'a description is no metadata' }, isCurrent)
  await first.editOrder(org, 'a', { metadata: { note: '' } }, isCurrent)
  t.strictSame(await used(), [2, 10])

  clock.now += 5000
  await first.placeOrder(org, order('c'))
  t.strictSame(await used(), [3, 10])
})

t.test('an edit of metadata uses only the bytes that it adds', async (t) => {
  const { org, used, first } = await start(t)
  const edit = (note: string) => first.editOrder(org, 'a', { metadata: { note } }, () => true)
  await first.placeOrder(org, order('a', { note: '0123456789' }))

  for (let i = 0; i < 5; i++) await edit('0123456789') // no growth
  await edit('01234567890123456789')

  await t.rejects(edit('012345678901234567890'), {
    code: 'QUOTA_EXCEEDED',
    message: 'The organisation has 30 of at most 30 metadata-bytes; 1 more exceed the quota.',
  })
  t.strictSame(await used(), [1, 30])
})

t.test('a process counts the bytes of metadata as the database does', async (t) => {
  const { org, used, first } = await start(t, { ...defaultQuotas, orders: 10 })
  let bytes = 0
  for (const [id, metadata] of Object.entries({ a: {}, b: { x: 'é"', y: '1' }, c: { 'a:b,c': '\u0001\n', '𝄞': '' } })) {
    await first.placeOrder(org, order(id, metadata))
    bytes += metadataBytes(metadata)
  }
  t.strictSame(await used(), [3, bytes])
})

t.test('sums older than 5 s do not reject an order', async (t) => {
  const { org, clock, used, first } = await start(t)
  await first.placeOrder(org, order('a'))
  for (let i = 0; i < 2; i++) await first.placeOrder(org, order('a')) // counted until the next read
  await t.rejects(first.placeOrder(org, order('b')), { code: 'QUOTA_EXCEEDED' }, 'control: within 5 s')

  clock.now += 5000

  t.match(await first.placeOrder(org, order('b')), { created: true })
  t.strictSame(await used(), [2, 0])
})

t.test('an import counts lines with the same id once', async (t) => {
  const { org, first } = await start(t)
  async function* lines() {
    yield [1, 2, 3, 4, 5].map((line) => ({ line, order: order('a') }))
  }
  let placed = 0
  for await (const step of first.importOrders(org, lines())) placed = step.placed_count
  t.equal(placed, 1)
})

t.test('an import counts the metadata of a line whose id a rejected line has as well', async (t) => {
  const { org, used, first } = await start(t, { ...defaultQuotas, 'metadata-bytes': 30 })
  const note = '01234567890123456789'
  const someProject = '01a223f2-250f-746f-8d36-8000dfe0e121'
  for (const rejected of [{ amount: 1.001 }, { project_id: someProject }]) {
    const id = JSON.stringify(rejected)
    async function* lines() {
      yield [
        { ...order(`${id}-a`), ...rejected },
        order(`${id}-a`, { note }),
        { ...order(`${id}-b`), ...rejected },
        order(`${id}-b`, { note }),
      ].map((order, i) => ({ line: i + 1, order }))
    }
    await t.rejects(Array.fromAsync(first.importOrders(org, lines())), { code: 'QUOTA_EXCEEDED' }, id)
  }
  t.strictSame(await used(), [0, 0])
})

t.test('an import places no order above the quota', async (t) => {
  const { org, used, first } = await start(t)
  async function* lines() {
    for (const n of [1, 2, 3, 4, 5]) yield [{ line: n, order: order(`${n}`) }]
  }
  let through = 0
  const importing = async () => {
    for await (const step of first.importOrders(org, lines())) through = step.through_line
  }

  await t.rejects(importing(), { code: 'QUOTA_EXCEEDED', quota: { name: 'orders', limit: 3 } })

  const [orders = 0] = await used()
  t.equal(orders, through, 'what the import reports is placed, and nothing else')
  t.ok(orders <= 3)
})

t.test('an organisation whose sums cannot be read places orders until they can', async (t) => {
  const reads: (() => Promise<{ orders: number; metadata_bytes: number }[]>)[] = [
    () => Promise.reject(new Error('canceling statement due to statement timeout')),
    async () => [{ orders: 3, metadata_bytes: 0 }],
  ]
  const database = { readInTenant: () => reads.shift()?.() } as unknown as Parameters<typeof createOrderQuota>[0]
  const clock = { now: 0 }
  const quota = createOrderQuota(database, { ...defaultQuotas, ...changed }, () => clock.now)

  t.equal(await quota.take('org', 1, 0), undefined)
  clock.now += 5000
  t.equal(await quota.take('org', 1, 0), undefined, 'it reads the sums for the next one')
  await quota.prepareMetadata('org') // waits for them

  t.match(await quota.take('org', 1, 0), { quota: { name: 'orders', used: 3 } })
})

t.test('an import whose orders exist needs no room', async (t) => {
  const { org, first } = await start(t)
  async function* lines(ids: string[]) {
    yield ids.map((id, i) => ({ line: i + 1, order: order(id) }))
  }
  const importing = async (...ids: string[]) => {
    let report: object = {}
    for await (const step of first.importOrders(org, lines(ids))) report = step
    return report
  }
  t.match(await importing('a', 'b', 'c'), { placed_count: 3 })

  t.match(await importing('a', 'b', 'c'), { existing_count: 3, placed_count: 0 })
  await t.rejects(importing('a', 'b', 'c', 'd'), { code: 'QUOTA_EXCEEDED', quota: { name: 'orders', used: 3 } })
})
