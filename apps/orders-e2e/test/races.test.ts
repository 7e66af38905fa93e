import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { type Answer, keepAlive, place, send } from '../src/faults/http.ts'
import { serve } from '../src/faults/service-process.ts'
import { connect, countRows } from '../src/faults/session.ts'

const repeats = 50
const tables = ['orders', 'order_events', 'outbox', 'idempotency_records']

/** Two processes on one database, and connections that are kept to both. */
async function startPair(t: Test) {
  const { url } = await createScratchDatabase(t)
  const services = await Promise.all([serve(t, { DATABASE_URL: url }), serve(t, { DATABASE_URL: url })])
  const agent = keepAlive(100)
  t.teardown(() => agent.destroy())
  const [first = '', second = ''] = services.map((service) => service.url)
  return { database: await connect(t, url), first, second, agent }
}

/** Sends each of the requests so many times at once, to the two processes in turn. Answers per request. */
function storm<T>(
  requests: T[],
  [first, second]: [string, string],
  post: (url: string, request: T) => Promise<Answer>,
) {
  const answers = requests.map((): Promise<Answer>[] => [])
  for (let turn = 0; turn < repeats; turn++) {
    for (const [n, request] of requests.entries()) answers[n]?.push(post((turn + n) % 2 ? second : first, request))
  }
  return Promise.all(answers.map((group) => Promise.all(group)))
}

/** What must be the same each time: status, body, and the headers that are stored with them. */
const replayed = ({ status, body, headers }: Answer) =>
  JSON.stringify([status, body, headers['content-type'], headers.location, headers.etag])

t.test('100 keys, each sent 50 times at once to two processes, place 100 orders', async (t) => {
  const { database, first, second, agent } = await startPair(t)
  const keys = Array.from({ length: 100 }, (_, n) => `race-key-0123456789-${n}`)
  const orderOf = (key: string) => ({ amount: 12.34, description: key, metadata: { key } })
  const answers = await storm(keys, [first, second], (url, key) => place(url, key, orderOf(key), agent))

  t.equal(answers.flat().length, 5000)
  for (const group of answers) {
    const [any] = group
    if (any?.status !== 201) t.fail(`status ${any?.status}: ${any?.body}`)
    const same = new Set(group.map(replayed))
    if (same.size !== 1) t.fail(`not one answer but ${[...same].join('\n')}`)
    const fresh = group.filter(({ headers }) => headers['idempotency-replayed'] !== 'true')
    if (fresh.length !== 1) t.fail(`${fresh.length} first answers: ${fresh.map(({ body }) => body).join('\n')}`)
  }
  t.strictSame(await countRows(database, tables), {
    orders: 100,
    order_events: 100,
    outbox: 100,
    idempotency_records: 100,
  })

  t.comment('the same key with another body')
  for (const url of [first, second]) {
    const [key = ''] = keys
    const mismatch = await place(url, key, { ...orderOf(key), amount: 12.35 })
    t.equal(mismatch.status, 422)
    t.match(JSON.parse(mismatch.body), { error: 'IDEMPOTENCY_MISMATCH' })
    t.equal(mismatch.headers['idempotency-replayed'], undefined)
    const spelled = await place(url, key, { metadata: { key }, description: key, amount: 12.34 })
    t.equal(spelled.headers['idempotency-replayed'], 'true', 'the order of the fields does not count')
  }
  t.match(await countRows(database, tables), { orders: 100, idempotency_records: 100 })
})

t.test('20 ids, each sent 50 times at once to two processes, place 20 orders', async (t) => {
  const { database, first, second, agent } = await startPair(t)
  const ids = Array.from({ length: 20 }, (_, n) => `race-${n}`)
  const post = (url: string, body: object) => send(`${url}/orders`, { method: 'POST', body, agent })
  const answers = await storm(ids, [first, second], (url, id) => post(url, { id, amount: 7 }))

  for (const group of answers) {
    const statuses = Map.groupBy(group, ({ status }) => status)
    t.strictSame([statuses.get(201)?.length, statuses.get(200)?.length], [1, repeats - 1])
    t.equal(new Set(group.map(({ body }) => body)).size, 1, 'all tell the same order')
  }
  t.match(await countRows(database, tables), { orders: 20, order_events: 20, outbox: 20 })

  t.comment('other content, also all at once')
  const taken = await storm(ids, [first, second], (url, id) => post(url, { id, amount: 8 }))
  t.strictSame([...new Set(taken.flat().map(({ status }) => status))], [409])
  t.match(JSON.parse(taken[0]?.[0]?.body ?? ''), { error: 'ORDER_ID_TAKEN' })

  t.comment('one id with other contents at once: one of them wins')
  const amounts = Array.from({ length: repeats }, (_, n) => n + 1)
  const rivals = await Promise.all(
    amounts.map((amount) => post(amount % 2 ? first : second, { id: 'contested', amount })),
  )
  const winners = rivals.filter(({ status }) => status === 201)
  t.equal(winners.length, 1)
  t.equal(rivals.filter(({ status }) => status === 409).length, repeats - 1)
  const kept = await send(`${first}/orders/contested`)
  t.equal(kept.body, winners[0]?.body)
})

t.test('a key that another transaction holds is in flight, and delays only itself', async (t) => {
  const { database, first, second } = await startPair(t)
  const key = 'held-key-0123456789'
  await database.query('BEGIN')
  await database.query(
    `INSERT INTO idempotency_records (org_id, route, principal, key, fingerprint)
     SELECT id, 'POST /orders', 'open', $1, '\\x00' FROM organisations`,
    [key],
  )
  const held = place(first, key, { amount: 1 })
  const neighbours = await Promise.all([
    ...Array.from({ length: 10 }, (_, n) => place(first, `free-key-0123456789-${n}`, { amount: 2 })),
    send(`${first}/orders`, { method: 'POST', body: { amount: 3 } }),
    place(second, 'free-key-0123456789-second', { amount: 2 }),
  ])
  t.strictSame([...new Set(neighbours.map(({ status }) => status))], [201])
  const answer = await held
  t.equal(answer.status, 409)
  t.match(answer.headers, { 'retry-after': '1', 'content-type': /^application\/problem\+json/ })
  t.match(JSON.parse(answer.body), { error: 'IDEMPOTENCY_IN_FLIGHT' })

  await database.query('ROLLBACK')
  const placed = await place(first, key, { amount: 1 })
  t.equal(placed.status, 201, 'a refusal is not kept')
  t.equal((await place(second, key, { amount: 1 })).headers['idempotency-replayed'], 'true')
})
