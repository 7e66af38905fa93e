import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '@orders/database/testing'
import t from 'tap'
import { collect } from '../broker/peer.ts'
import { startRabbitmq } from '../broker/rabbitmq.ts'
import { range, startService, until } from '../broker/service.ts'
import { startWorker } from '../broker/worker.ts'

/** Events: those of ten minutes at 200 a second are 120,000; fewer show the rate as well. */
const gathered = 100_000 * Number(process.env.CHAOS_SCALE ?? 0.1)
const perSecond = 200

t.test('what waited for the broker leaves five times as fast as orders come', async (t) => {
  const [rabbitmq, cluster] = [await startRabbitmq(t), await createCluster(t)]
  const service = await startService(t, cluster)
  const messages = collect(t, rabbitmq)
  await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.publisherUrl })
  await service.place([0])
  await until(() => messages.length === 1)
  await rabbitmq.kill()
  let [asked, taken] = [1, 1]
  const place = async (count: number) => {
    const numbers = range(asked, asked + count)
    asked += count
    taken += (await service.place(numbers)).length
  }
  while (asked < gathered) await place(500)
  t.ok((await service.backlog()) >= gathered - 1, 'they wait')
  await rabbitmq.restart()
  await until(() => messages.length > 1)

  const [left, placed, at] = [messages.length, taken, performance.now()]
  while (messages.length < gathered) {
    const due = Math.floor(((performance.now() - at) / 1000) * perSecond) - (asked - placed)
    await Promise.all([place(due), delay(50)])
  }
  const [leaving, arriving] = [messages.length - left, taken - placed]
  const seconds = (performance.now() - at) / 1000
  t.comment(`in ${seconds.toFixed(1)} s, ${leaving} events left and ${arriving} came`)
  t.equal(taken, asked, 'every order was taken')
  t.ok(arriving > 0 && leaving >= 5 * arriving)
  await until(() => new Set(messages.map(({ message_id }) => message_id)).size === asked)
})
