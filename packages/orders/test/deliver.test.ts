import { mock } from 'node:test'
import { newOrganisation } from '@orders/database/testing'
import t from 'tap'
import { retryPauses, type Sender } from '../src/deliver.ts'
import { fetchSender, startReceivers, startWebhooks, startWorking, type Worker } from './receivers.ts'
import { rowsOf, until } from './service.ts'

type Service = Awaited<ReturnType<typeof startWebhooks>>

const page = { limit: 200 }

/** Delivers what is due and nothing else, to its end. */
async function drain({ deliver, fanOut, idle, relay }: Worker): Promise<void> {
  while ((await relay.move()) > 0);
  while ((await fanOut()) + (await deliver()) > 0) await idle()
}

const statesOf = async ({ webhooks, org }: Service, id: string) =>
  (await webhooks.listDeliveries(org, id, page)).data.map(({ state }) => state)

t.test('an event comes as a CloudEvent, and what came of it stands in the log', async (t) => {
  const { received, reactions, url } = await startReceivers(t)
  const sent: Parameters<Sender>[0][] = []
  const send: Sender = (message) => {
    sent.push(message)
    return fetchSender(message)
  }
  const service = await startWebhooks(t)
  const { webhooks, orders, org, another, newWebhook, placeIn } = service
  const { id } = await newWebhook(url('/a'))
  const worker = another({ send })
  await placeIn(org, 'order-1')
  const order = await orders.changeStatus(org, 'order-1', 'confirm')
  reactions.set('/a', { body: 'thank you\0' })
  await drain(worker)
  const confirmed = received.find(({ body }) => body.id === 'order-1.2')
  t.strictSame(confirmed?.body, {
    specversion: '1.0',
    id: 'order-1.2',
    source: `/orgs/${org}`,
    type: 'orders.order.confirmed.v1',
    time: order.updated_at,
    datacontenttype: 'application/json',
    subject: 'order-1',
    sequence: 2,
    data: order,
  })
  t.match(sent, [{ secrets: [{ kind: 'ed25519', key: { length: 32 } }] }, { id: /^evt_[A-Za-z0-9_-]{22}$/ }])
  const { data } = await webhooks.listDeliveries(org, id, page)
  t.match(data, [
    {
      event_id: confirmed?.id,
      state: 'delivered',
      attempts: 1,
      due_at: null,
      last_status: 200,
      last_reply: 'thank you',
      last_error: null,
      delivered_at: /Z$/,
    },
    { order_id: 'order-1', sequence: 1 },
  ])
  const test = await webhooks.testWebhook(org, id)
  await drain(worker)
  t.match(received.at(-1), {
    id: `test_${test.id}`,
    body: { id: `test.${test.id}`, type: 'orders.webhook.test.v1', subject: id },
  })
  await webhooks.resend(org, data[0]?.id ?? '')
  await drain(worker)
  t.equal(received.filter((it) => it.id === confirmed?.id).length, 2)
})

t.test('two tenants with the same order id have messages with ids of their own', async (t) => {
  const { received, url } = await startReceivers(t)
  const service = await startWebhooks(t)
  const orgs = [service.org, await newOrganisation(service.url)]
  for (const org of orgs) {
    await service.newWebhook(url('/shared'), {}, org)
    await service.placeIn(org, 'order-1')
  }
  await drain(service.another())
  t.equal(received.length, 2)
  t.equal(new Set(received.map(({ id }) => id)).size, 2, 'a receiver of both drops none')
  for (const { id } of received) t.notMatch(id, '.', 'the standard forbids a full stop')
  t.same(
    received.map(({ body }) => body.id),
    ['order-1.1', 'order-1.1'],
    'the id of CloudEvents belongs to its source',
  )
  t.same(received.map(({ body }) => body.source).sort(), orgs.map((org) => `/orgs/${org}`).sort())
})

t.test('a message has the time of the database, whatever the clock of the worker says', async (t) => {
  const { url } = await startReceivers(t)
  const sent: number[] = []
  const send: Sender = (message) => {
    sent.push(message.timestamp)
    return fetchSender(message)
  }
  const service = await startWebhooks(t)
  await service.newWebhook(url('/a'))
  for (const hours of [1, -1]) {
    await service.placeIn(service.org, `order${hours}`)
    mock.timers.enable({ apis: ['Date'], now: Date.now() + hours * 3_600_000 })
    await drain(service.another({ send }))
    mock.timers.reset()
    const [{ now }] = await rowsOf(service.admin, 'SELECT extract(epoch FROM clock_timestamp())::float AS now')
    const apart = Math.abs(now - (sent.at(-1) ?? 0))
    t.ok(apart < 60, `${apart} s apart, with a worker ${hours} h ahead`)
  }
})

t.test('what fails is tried on schedule, fails for good after it, and is sent again by hand', async (t) => {
  const { received, reactions, url } = await startReceivers(t)
  const service = await startWebhooks(t)
  const { webhooks, org, admin, another, newWebhook, placeIn } = service
  const { id } = await newWebhook(url('/bad'))
  reactions.set('/bad', { status: 500, body: 'x'.repeat(5000) })
  const outcomes: string[] = []
  const onOutcome = (state: string) => outcomes.push(state)
  await placeIn(org, 'a')
  for (const [i, pause] of retryPauses.entries()) {
    const random = [0, 1, 0.5][i % 3] as number
    const worker = another({ random: () => random, onOutcome })
    await drain(worker)
    const [row] = await rowsOf(
      admin,
      'SELECT attempts, extract(epoch FROM due_at - now())::float AS s FROM webhook_deliveries',
    )
    t.equal(row.attempts, i + 1)
    const expected = pause * (0.8 + 0.4 * random)
    t.ok(Math.abs(row.s - expected) < 1, `${row.s} s for ${expected} s`)
    t.equal(await worker.deliver(), 0, 'it is not due yet')
    // The clock goes on to when it is due, and to no more.
    await admin.query(`UPDATE webhook_deliveries SET due_at = due_at - $1 * interval '1 second'`, [expected - 1])
    t.equal(await worker.deliver(), 0, 'nor a second before')
    await admin.query(`UPDATE webhook_deliveries SET due_at = due_at - interval '1 second'`)
  }
  const worker = another({ onOutcome })
  await drain(worker)
  t.strictSame(outcomes, [...retryPauses.map(() => 'pending'), 'failed'])
  t.equal(new Set(received.map((it) => it.id)).size, 1, 'webhook-id is the same at every attempt')
  const [failed] = (await webhooks.listDeliveries(org, id, page)).data
  t.match(failed, { state: 'failed', attempts: 10, last_status: 500, due_at: null, delivered_at: null })
  t.equal(failed?.last_reply?.length, 4096)
  t.match(await webhooks.getWebhook(org, id), { enabled: true, first_failure_at: /Z$/ })

  reactions.delete('/bad')
  t.match(await webhooks.resend(org, failed?.id ?? ''), { state: 'pending', attempts: 0 })
  await drain(worker)
  t.match((await webhooks.listDeliveries(org, id, page)).data, [{ state: 'delivered', attempts: 1 }])
  t.match(await webhooks.getWebhook(org, id), { first_failure_at: null })
})

t.test('a receiver that says when to come back is obeyed, within a day', async (t) => {
  const { reactions, url } = await startReceivers(t)
  const { org, admin, another, newWebhook, placeIn } = await startWebhooks(t)
  await newWebhook(url('/later'))
  await newWebhook(url('/never'))
  reactions.set('/later', { status: 503, headers: { 'retry-after': '3600' } })
  reactions.set('/never', { status: 429, headers: { 'retry-after': '99999999' } })
  await placeIn(org, 'a')
  await drain(another())
  const rows = await rowsOf(
    admin,
    'SELECT round(extract(epoch FROM due_at - now()) / 60)::int AS m FROM webhook_deliveries ORDER BY 1',
  )
  t.strictSame(rows, [{ m: 60 }, { m: 1440 }])
})

t.test('410 and five days of failures turn a webhook off, until it is enabled', async (t) => {
  const { received, reactions, url } = await startReceivers(t)
  const service = await startWebhooks(t)
  const { webhooks, org, admin, another, newWebhook, placeIn } = service
  const told: object[] = []
  const worker = another({ onDisabled: (it) => told.push(it) })
  const gone = await newWebhook(url('/gone'))
  const bad = await newWebhook(url('/bad'))
  reactions.set('/gone', { status: 410 })
  reactions.set('/bad', { status: 500 })
  await placeIn(org, 'a')
  await drain(worker)
  t.match(await webhooks.getWebhook(org, gone.id), { enabled: false, disabled_reason: 'gone', version: 2 })
  t.strictSame(await statesOf(service, gone.id), ['failed'])
  const due = () => admin.query("UPDATE webhook_deliveries SET due_at = now() WHERE state = 'pending'")
  const shift = (interval: string) =>
    admin.query(`UPDATE webhooks SET first_failure_at = first_failure_at - interval '${interval}'`)
  await shift('4 days 23 hours')
  await due()
  await drain(worker)
  t.match(await webhooks.getWebhook(org, bad.id), { enabled: true })
  await shift('1 hour')
  await due()
  await drain(worker)
  t.match(await webhooks.getWebhook(org, bad.id), { enabled: false, disabled_reason: 'failing' })
  t.strictSame(told, [
    { org_id: org, webhook_id: gone.id, reason: 'gone' },
    { org_id: org, webhook_id: bad.id, reason: 'failing' },
  ])

  received.length = 0
  reactions.clear()
  await placeIn(org, 'b')
  await due()
  await drain(worker)
  t.strictSame(received, [], 'nothing is queued for it, and what is pending waits')
  await webhooks.changeWebhook(org, bad.id, { enabled: true }, () => true)
  await drain(worker)
  t.match(received, [{ path: '/bad', body: { id: 'a.1' } }])
  t.match(await webhooks.getWebhook(org, bad.id), { enabled: true, first_failure_at: null, disabled_at: null })
})

t.test('after a rotation both keys sign for 24 hours', async (t) => {
  const { url } = await startReceivers(t)
  const { webhooks, org, admin, another, newWebhook } = await startWebhooks(t)
  const secrets: string[][] = []
  const worker = another({
    send: (message) => {
      secrets.push(message.secrets.map(({ key }) => `whsec_${key.toString('base64')}`))
      return fetchSender(message)
    },
  })
  const first = await newWebhook(url('/a'), { signature: 'hmac' })
  const rotated = await webhooks.rotateSecret(org, first.id)
  if (rotated.replayed) throw new Error('it was replayed')
  const second = rotated.made
  t.not(second.secret, first.secret)
  t.match(second.previous_key_ends_at, /Z$/)
  const send = async () => {
    await webhooks.testWebhook(org, first.id)
    await drain(worker)
    return secrets.at(-1)
  }
  t.strictSame(await send(), [second.secret, first.secret])
  const shift = (interval: string) =>
    admin.query(`UPDATE webhooks SET previous_key_ends_at = previous_key_ends_at - interval '${interval}'`)
  await shift('23 hours 59 minutes')
  t.strictSame(await send(), [second.secret, first.secret])
  await shift('1 minute')
  t.strictSame(await send(), [second.secret])
  t.match(await webhooks.getWebhook(org, first.id), { previous_key_ends_at: null })

  const own = await newWebhook(url('/b'))
  const next = await webhooks.rotateSecret(org, own.id)
  t.match(next, { made: { secret: null, previous_public_key: own.public_key } })
})

t.test('two processes side by side send each message once, and keep to the limits together', async (t) => {
  const { received, url } = await startReceivers(t)
  const service = await startWebhooks(t)
  const { org, admin, another, newWebhook, placeIn } = service
  const open = new Map<string, number>()
  const alone = url('/alone')
  const openOfMany = () => [...open].reduce((sum, [to, n]) => sum + (to === alone ? 0 : n), 0)
  let [mostOfOne, mostOfMany] = [0, 0]
  // No receiver answers before as many messages are under way as may be.
  const full = Promise.withResolvers<void>()
  const send: Sender = async (message) => {
    open.set(message.url, (open.get(message.url) ?? 0) + 1)
    mostOfOne = Math.max(mostOfOne, ...open.values())
    mostOfMany = Math.max(mostOfMany, openOfMany())
    await full.promise
    try {
      return await fetchSender(message)
    } finally {
      open.set(message.url, (open.get(message.url) ?? 1) - 1)
    }
  }
  const other = await newOrganisation(service.url)
  const paths = Array.from({ length: 8 }, (_, i) => `/${i}`)
  for (const path of paths) await newWebhook(url(path))
  await newWebhook(alone, {}, other)
  const ids = Array.from({ length: 60 }, (_, i) => `order-${i}`)
  await Promise.all(ids.flatMap((id) => [placeIn(org, id), placeIn(other, id)]))
  const messages = ids.length * (paths.length + 1)
  const news = [{ wake: () => {} }, { wake: () => {} }] as const
  const stop = news.map((it) => startWorking(another({ send, onRoom: () => it.wake() }), it))
  await until(() => openOfMany() >= 20 && (open.get(alone) ?? 0) >= 4)
  full.resolve()
  await until(async () => {
    const [row] = await rowsOf(admin, "SELECT count(*)::int AS n FROM webhook_deliveries WHERE state = 'delivered'")
    return row.n === messages
  })
  await Promise.all(stop.map((end) => end()))
  t.equal(received.length, messages)
  t.equal(new Set(received.map(({ path, id }) => `${path} ${id}`)).size, received.length)
  t.equal(mostOfOne, 4)
  t.equal(mostOfMany, 20)
})

t.test(
  'what a killed process held is sent again when its lease has run out, and its own outcome counts no more',
  async (t) => {
    const { received, reactions, url } = await startReceivers(t)
    const service = await startWebhooks(t)
    const { org, admin, another, newWebhook, placeIn } = service
    const { id } = await newWebhook(url('/a'))
    reactions.set('/a', { status: 500, afterMs: 300 })
    await placeIn(org, 'a')
    const [slow, other] = [another(), another()]
    await slow.relay.move()
    await slow.fanOut()
    t.equal(await slow.deliver(), 1)
    t.equal(await other.deliver(), 0)
    await until(() => received.length === 1)
    await admin.query('UPDATE webhook_deliveries SET leased_until = now()')
    reactions.delete('/a')
    t.equal(await other.deliver(), 1)
    await other.idle()
    await slow.idle()
    t.equal(received.length, 2)
    t.strictSame(await statesOf(service, id), ['delivered'])
  },
)

t.test('a backlog behind a dead receiver does not slow claims down', async (t) => {
  const { url } = await startReceivers(t)
  const { org, admin, another, newWebhook, webhooks } = await startWebhooks(t)
  const dead = await newWebhook(url('/dead'))
  const paused = await newWebhook(url('/paused'))
  await webhooks.changeWebhook(org, paused.id, { enabled: false }, () => true)
  const backlog = `INSERT INTO webhook_deliveries (org_id, webhook_id, type, due_at)
    SELECT $1, $2, 'x', now() - interval '1 hour' FROM generate_series(1, 100000)`
  for (const { id } of [dead, paused]) await admin.query(backlog, [org, id])
  const answered: string[] = []
  const { promise: forever, resolve } = Promise.withResolvers<never>()
  const send: Sender = async ({ url, ...message }) => {
    if (url.endsWith('/dead')) return forever
    answered.push(message.id)
    return { status: 200, reply: '', duration_ms: 1 }
  }
  const worker = another({ send })
  t.equal(await worker.deliver(), 4, 'no more than its own part')
  const live = await newWebhook(url('/live'))
  const inFlight = 'SELECT FROM webhook_deliveries WHERE leased_until IS NOT NULL'
  const times: number[] = []
  for (let i = 0; i < 20; i++) {
    await webhooks.testWebhook(org, live.id)
    const started = performance.now()
    t.equal(await worker.deliver(), 1)
    times.push(performance.now() - started)
    await until(async () => (await rowsOf(admin, inFlight)).length === 4)
  }
  t.equal(answered.length, 20)
  const median = times.sort((a, b) => a - b)[10] as number
  t.comment(`a claim beside 200,000 that wait: ${median.toFixed(1)} ms`)
  t.ok(median < 50)
  resolve({ status: 200, reply: '', duration_ms: 1 } as never)
})
