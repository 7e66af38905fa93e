import { randomBytes } from 'node:crypto'
import rhea, { type Message } from 'rhea'
import t from 'tap'
import { collect, collectDeadLetters, disordered, duplicates, eventsOf, put } from './broker/peer.ts'
import { startRabbitmq } from './broker/rabbitmq.ts'
import { range, startService, until } from './broker/service.ts'
import { metric, startWorker } from './broker/worker.ts'

const rabbitmq = await startRabbitmq(t)
const body = (text: string | Buffer) => rhea.message.data_section(Buffer.from(text))
const content_type = 'application/cloudevents+json'

t.test("an order's events are published in order, once each", async (t) => {
  const service = await startService(t)
  const worker = await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.publisherUrl })
  const messages = collect(t, rabbitmq)
  const all = range(0, 400)
  await service.place(all)
  await service.change('confirm', all)
  await service.change('complete', all)
  await until(() => messages.length >= 1200)
  await until(async () => (await service.backlog()) === 0)
  const events = eventsOf(messages)
  t.equal(events.length, 1200)
  t.equal(duplicates(events), 0)
  t.equal(disordered(events), 0)
  t.equal(await metric(worker, 'orders_broker_published_total{outcome="accepted"}'), 1200)
  t.equal(await metric(worker, 'orders_broker_up{direction="publish"}'), 1)
  t.equal(await metric(worker, 'orders_broker_up{direction="consume"}'), 0, 'this user may not')

  const { message } = events.find(({ order, version }) => order.endsWith('order-7') && version === 2) ?? {}
  const [, org] = service.orgs
  t.match(message, {
    durable: true,
    message_id: `${org}/order-7.2`,
    group_id: `${org}/order-7`,
    subject: 'orders.order.confirmed.v1',
    content_type: 'application/cloudevents+json',
  })
  t.match(JSON.parse(String(message?.body.content)), {
    specversion: '1.0',
    id: 'order-7.2',
    source: `/orgs/${org}`,
    type: 'orders.order.confirmed.v1',
    subject: 'order-7',
    time: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
    sequence: '0000000002',
    datacontenttype: 'application/json',
    data: { id: 'order-7', org_id: org, status: 'confirmed', amount: 1, version: 2 },
  })
})

t.test('what is placed goes through the broker, and is confirmed', async (t) => {
  const service = await startService(t)
  const settings = { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url }
  const workers = [await startWorker(t, settings), await startWorker(t, settings)]
  await service.place(range(0, 500))
  await until(async () => (await service.confirmed()) === 500 && (await service.backlog()) === 0)
  const sum = async (series: string) =>
    (await Promise.all(workers.map((it) => metric(it, series)))).reduce((a, b) => a + b)
  await until(async () => (await sum('orders_broker_consumed_total{outcome="processed"}')) === 1000)
  t.equal(await sum('orders_broker_consumed_total{outcome="rejected"}'), 0)
  t.equal(await sum('orders_broker_published_total{outcome="accepted"}'), 1000)
  t.equal(await service.count('FROM order_events'), 1000, 'each was confirmed once')
  for (const worker of workers) t.equal(await worker.end('SIGTERM'), 0)
})

t.test('what followed from an event leaves at once, and not when the worker next looks', async (t) => {
  const service = await startService(t)
  const worker = await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url })
  for (const n of range(0, 8)) {
    await service.place([n])
    await until(async () => (await service.count('FROM event_log WHERE sequence = 2')) === n + 1)
  }
  const { rows } = await service.admin.query(
    `SELECT extract(epoch FROM max(l.logged_at - e.occurred_at))::float8 AS slowest
    FROM event_log l JOIN order_events e ON e.sequence = l.sequence
    JOIN orders o ON o.number = e.order_number AND o.id = ANY (l.order_ids) WHERE l.sequence = 2`,
  )
  t.ok(rows[0].slowest < 0.5, `${rows[0].slowest} s from the confirmation until it left`)
  await until(async () => (await metric(worker, 'orders_broker_consumed_total{outcome="processed"}')) === 16)
  t.equal(await worker.end('SIGTERM'), 0)
})

t.test('what is no event of ours becomes a dead letter, and holds nothing up', async (t) => {
  const service = await startService(t)
  const worker = await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url })
  const dead = collectDeadLetters(t, rabbitmq)
  const [org] = service.orgs
  const event = {
    specversion: '1.0',
    id: 'a.1',
    source: `/orgs/${org}`,
    type: 'orders.order.placed.v1',
    subject: 'a',
    sequence: '0000000001',
    data: {},
  }
  const altered = (change: object) => ({ content_type, body: body(JSON.stringify({ ...event, ...change })) })
  const poison: Message[] = [
    { body: body(randomBytes(1000)) },
    { body: 'a value and no data' },
    { body: { a: [1, 2, { b: null }] } },
    { content_type, body: body('') },
    { content_type, body: body('null') },
    { content_type, body: body('{"specversion":"1.0"') },
    { content_type, body: body('['.repeat(100_000)) },
    { content_type: 'application/json', body: body(JSON.stringify(event)) },
    altered({ type: 'com.example.other' }),
    altered({ type: 'orders.order.placed.v2' }),
    altered({ specversion: '0.3' }),
    altered({ source: '/orgs/1' }),
    altered({ subject: 'b' }),
    altered({ subject: "a'; DROP TABLE orders; --", id: "a'; DROP TABLE orders; --.1" }),
    altered({ sequence: '9999999999', id: 'a.9999999999' }),
    altered({ sequence: 1 }),
    { content_type, body: body(`${JSON.stringify(event)}${' '.repeat(5_000_000)}`) },
  ] as Message[]
  await put(rabbitmq, poison)
  await service.place(range(0, 50))
  await put(rabbitmq, poison)
  await service.place(range(50, 100))
  await until(async () => (await service.confirmed()) === 100)
  await until(() => dead.length >= 2 * poison.length)
  t.equal(dead.length, 2 * poison.length)
  t.equal(await metric(worker, 'orders_broker_consumed_total{outcome="rejected"}'), 2 * poison.length)
  t.equal(await metric(worker, 'orders_broker_up{direction="consume"}'), 1)
  t.equal(worker.lines('the broker'), 0, worker.output())

  await until(async () => (await metric(worker, 'orders_broker_consumed_total{outcome="processed"}')) === 200)
  await worker.end('SIGTERM')
  const good = range(0, 100).map((n) =>
    altered({ id: `order-${n}.1`, subject: `order-${n}`, source: `/orgs/${service.orgs[n % 2]}` }),
  )
  const mixed = good.flatMap((message, i) => [message, altered({ specversion: `${i}` })].slice(0, (i % 3) + 1))
  await put(rabbitmq, mixed as Message[])
  dead.length = 0
  const next = await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url })
  await until(async () => (await metric(next, 'orders_broker_consumed_total{outcome="processed"}')) >= good.length)
  await until(() => dead.length >= mixed.length - good.length)
  t.equal(await metric(next, 'orders_broker_consumed_total{outcome="processed"}'), good.length)
  t.notOk(
    dead.some(({ body }) => JSON.parse(String(body.content)).specversion === '1.0'),
    'none that was good',
  )
  t.equal(dead.length, mixed.length - good.length)
})

t.test('an event that fails by itself is tried again, and then becomes a dead letter', async (t) => {
  const service = await startService(t)
  await service.admin.query("ALTER TABLE inbox ADD CONSTRAINT planted CHECK (order_id <> 'order-3')")
  const worker = await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url })
  const dead = collectDeadLetters(t, rabbitmq)
  await service.place(range(0, 10))
  await until(() => dead.length > 0)
  t.match(eventsOf(dead), [{ order: `/orgs/${service.orgs[1]} order-3`, version: 1 }])
  await until(async () => (await service.confirmed()) === 9)
  t.equal(await metric(worker, 'orders_broker_consumed_total{outcome="released"}'), 4)
})

t.test('what a full queue does not take waits, and its later events behind it', async (t) => {
  const service = await startService(t)
  const worker = await startWorker(t, {
    DATABASE_URL: service.url,
    EVENTS_BROKER: `${rabbitmq.publisherUrl}/amq/queue/small`, // it holds 5
  })
  const all = range(0, 100)
  await service.place(all)
  await service.change('confirm', all)
  await until(() => worker.lines('the broker takes no events') > 0)
  t.ok((await service.backlog()) > 0)
  const messages = collect(t, rabbitmq, '/amq/queue/small')
  await until(async () => (await service.backlog()) === 0, 120)
  await until(() => eventsOf(messages).length - duplicates(eventsOf(messages)) === 200)
  t.equal(disordered(eventsOf(messages)), 0)
})

t.test('a wrong password is told once, and keeps nobody from working', async (t) => {
  const service = await startService(t)
  const worker = await startWorker(t, {
    DATABASE_URL: service.url,
    EVENTS_BROKER: rabbitmq.url.replace('secret', 'wrong'),
  })
  await until(() => worker.lines('the broker') === 2)
  t.match(worker.output(), /the broker refuses the login or what it may do/)
  t.notMatch(worker.output(), /wrong/)
  await service.place(range(0, 10))
  await until(async () => (await service.count('FROM event_queue')) === 10)
  t.match(await worker.ask('/readyz'), { status: 200 })
  t.equal(worker.lines('the broker'), 2)
  t.equal(await worker.end('SIGTERM'), 0)
})
