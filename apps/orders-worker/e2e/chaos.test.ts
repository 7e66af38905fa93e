import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { collect, disordered, duplicates, eventsOf } from './broker/peer.ts'
import { startRabbitmq } from './broker/rabbitmq.ts'
import { range, type Service, startService, until } from './broker/service.ts'
import { startWorker } from './broker/worker.ts'

/** 100000 orders and an outage of a minute take four minutes; a tenth of both meets each fault as well. */
const scale = Number(process.env.CHAOS_SCALE ?? 0.1)
const orders = 100_000 * scale
/** Of these, all events of a whole life. */
const lives = 5000 * scale
const workers = 4
const outageMs = 60_000 * scale
/** The most that a worker has under way: both its relays, and a batch of 50 from 8 lanes, 7 of each. */
const underWay = 2 * 8 * 7
t.setTimeout(580_000)

/** Keeps a worker running, and kills it as soon as something of its making has been seen, as often as `until` says. */
async function haunt(t: Test, settings: Record<string, string>, seen: () => number, isOver: () => boolean) {
  let kills = 0
  while (!isOver()) {
    const worker = await startWorker(t, settings)
    const before = seen()
    // Between the publishing of a batch and its mark, more often than not.
    await until(() => seen() > before || isOver(), 300)
    if (isOver()) return kills
    await delay(Math.random() * 4000)
    await worker.end('SIGKILL')
    kills++
  }
  return kills
}

async function place(service: Service): Promise<void> {
  for (let n = 0; n < orders; n += 500) await service.place(range(n, n + 500))
}

t.test('many orders, four workers that are killed, a broker that is away', async (t) => {
  const [rabbitmq, cluster] = [await startRabbitmq(t), await createCluster(t)]
  const service = await startService(t, cluster)
  const messages = collect(t, rabbitmq)
  const settings = { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.publisherUrl }
  let over = false
  const haunted = Promise.all(
    range(0, workers).map(() =>
      haunt(
        t,
        settings,
        () => messages.length,
        () => over,
      ),
    ),
  )
  const started = performance.now()
  const traffic = place(service)
  await until(() => messages.length > lives, 120)
  await rabbitmq.kill()
  const away = delay(outageMs)
  await traffic
  for (const verb of ['confirm', 'complete'] as const) await service.change(verb, range(0, lives))
  const placedIn = Math.round((performance.now() - started) / 1000)
  await away
  await rabbitmq.restart()

  const expected = orders + 2 * lives
  const distinct = () => new Set(messages.map(({ message_id }) => message_id)).size
  for (; distinct() < expected; await delay(1000)) if (performance.now() - started > 500_000) break
  over = true
  const kills = (await haunted).reduce((a, b) => a + b)
  await until(async () => (await service.backlog()) === 0, 60).catch(() => {})
  const events = eventsOf(messages)
  t.comment(
    `${orders} orders and ${expected} events, all placed in ${placedIn} s, the last out after ${Math.round((performance.now() - started) / 1000)} s`,
  )
  t.comment(`${kills} kills, ${duplicates(events)} came again, at most ${kills * underWay}`)
  t.ok(kills >= 4, `${kills} kills`)
  t.equal(distinct(), expected, 'nothing is lost')
  t.ok(duplicates(events) <= kills * underWay, 'no more came again than was under way')
  t.equal(disordered(events), 0, 'each order in its order')
  t.equal(await service.count('FROM dead_letters'), 0)
})
