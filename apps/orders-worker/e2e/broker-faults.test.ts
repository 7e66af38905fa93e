import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '@orders/database/testing'
import rhea, { type Message } from 'rhea'
import t from 'tap'
import { collect, collectDeadLetters, disordered, duplicates, eventsOf, put } from './broker/peer.ts'
import { startRabbitmq } from './broker/rabbitmq.ts'
import { range, startService, until } from './broker/service.ts'
import { metric, startWorker } from './broker/worker.ts'

const rabbitmq = await startRabbitmq(t)

/** The most that a worker has under way: both its relays, and a batch of 50 from 8 lanes, 7 of each. */
const underWay = 2 * 8 * 7
const kills = 10

t.test('an outage of the broker in the middle of traffic loses nothing, and stops no order', async (t) => {
  const service = await startService(t)
  const settings = { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url }
  const workers = [await startWorker(t, settings), await startWorker(t, settings)]
  const isUp = async () => {
    const series = workers.flatMap((worker) =>
      ['publish', 'consume'].map((direction) => metric(worker, `orders_broker_up{direction="${direction}"}`)),
    )
    return (await Promise.all(series)).reduce((a, b) => a + b)
  }
  let placed = 0
  let stopped = false
  const traffic = (async () => {
    for (; !stopped; await delay(50)) {
      await service.place(range(placed, placed + 5))
      placed += 5
    }
  })()
  const outages = {
    killed: [rabbitmq.kill, rabbitmq.restart],
    'shut down': [rabbitmq.shutdown, rabbitmq.restart],
    hung: [rabbitmq.freeze, rabbitmq.thaw],
  } as const
  let count = 0
  for (const [name, [stop, start]] of Object.entries(outages)) {
    await until(async () => (await isUp()) === 4)
    await stop()
    const before = placed
    await until(async () => (await isUp()) === 0, 120)
    await until(() => placed > before + 100)
    for (const worker of workers) t.match(await worker.ask('/readyz'), { status: 200 }, `ready while it is ${name}`)
    t.ok((await service.backlog()) > 0, 'events wait')
    await start()
    await until(async () => (await isUp()) === 4)
    count++
    for (const worker of workers) {
      await until(() => worker.lines('events go to the broker') > count)
      t.equal(worker.lines('the broker takes no events'), count, `one line when it was ${name}`)
      t.equal(worker.lines('events go to the broker'), count + 1)
    }
  }
  stopped = true
  await traffic
  await until(async () => (await service.confirmed()) === placed && (await service.backlog()) === 0)
  t.equal(await service.count('FROM order_events'), 2 * placed)
  t.equal(await service.count('FROM dead_letters'), 0)
  t.comment(`${placed} orders`)
})

t.test('kill -9 of a worker loses nothing and keeps the order; what was under way comes again', async (t) => {
  const service = await startService(t)
  const messages = collect(t, rabbitmq)
  // The queue may still hold messages that a worker of the test before had not acknowledged when it was killed.
  const ownEvents = () =>
    eventsOf(messages).filter(({ order }) => service.orgs.some((org) => order.startsWith(`/orgs/${org} `)))
  const settings = { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.publisherUrl }
  let placed = 0
  for (let kill = 0; kill < kills; kill++) {
    // However fast a worker is, there is work for the next.
    for (; (await service.backlog()) < 1000; placed += 500) {
      const more = range(placed, placed + 500)
      await service.place(more)
      await service.change('confirm', more)
    }
    const worker = await startWorker(t, settings)
    const before = ownEvents().length
    await until(() => ownEvents().length > before)
    await delay(Math.random() * 150)
    await worker.end('SIGKILL')
    // Nobody takes what a dead worker held until its lease has run out; this is the end of that half minute.
    await service.admin.query("UPDATE event_lanes SET leased_until = '-infinity'")
  }
  await startWorker(t, settings)
  await until(() => ownEvents().length - duplicates(ownEvents()) >= 2 * placed)
  const events = ownEvents()
  t.comment(`${kills} kills, ${duplicates(events)} came again, at most ${kills * underWay}`)
  t.equal(events.length - duplicates(events), 2 * placed)
  t.ok(duplicates(events) > 0, 'some were hit between publishing and marking')
  t.ok(duplicates(events) <= kills * underWay)
  t.equal(disordered(events), 0)
})

t.test('while the database is away events go back to the queue, and none becomes a dead letter', async (t) => {
  const cluster = await createCluster(t)
  const service = await startService(t, cluster)
  const worker = await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url })
  const dead = collectDeadLetters(t, rabbitmq)
  await service.place(range(0, 50))
  await until(async () => (await service.confirmed()) === 50 && (await service.backlog()) === 0)
  await until(async () => (await metric(worker, 'orders_broker_consumed_total{outcome="processed"}')) === 100)
  await cluster.kill()
  const again = range(0, 50).map((n) => ({
    content_type: 'application/cloudevents+json',
    body: rhea.message.data_section(
      Buffer.from(
        JSON.stringify({
          specversion: '1.0',
          id: `order-${n}.1`,
          source: `/orgs/${service.orgs[n % 2]}`,
          type: 'orders.order.placed.v1',
          subject: `order-${n}`,
          sequence: '0000000001',
          data: {},
        }),
      ),
    ),
  }))
  await put(rabbitmq, again as Message[])
  const failures = () => worker.output().match(/"job":"consume"/g)?.length ?? 0
  await until(() => failures() >= 4)
  await cluster.restart()
  await until(async () => (await metric(worker, 'orders_broker_consumed_total{outcome="processed"}')) === 150)
  t.ok((await metric(worker, 'orders_broker_consumed_total{outcome="released"}')) >= 100)
  t.equal(dead.length, 0)
})
