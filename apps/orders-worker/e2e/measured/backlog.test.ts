import { setTimeout as delay } from 'node:timers/promises'
import { createCluster } from '@orders/database/testing'
import t from 'tap'
import { collect } from '../broker/peer.ts'
import { startRabbitmq } from '../broker/rabbitmq.ts'
import { range, startService, until } from '../broker/service.ts'
import { startWorker } from '../broker/worker.ts'

/** Milliseconds: ten minutes, scaled. What matters is how much has gathered, and how fast it leaves. */
const awayMs = 100_000 * Number(process.env.CHAOS_SCALE ?? 0.1)

t.test('what waited for the broker leaves five times as fast as orders come', async (t) => {
  const perSecond = 200
  const [rabbitmq, cluster] = [await startRabbitmq(t), await createCluster(t)]
  const service = await startService(t, cluster)
  const messages = collect(t, rabbitmq)
  await startWorker(t, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.publisherUrl })
  await service.place([0])
  await until(() => messages.length === 1)
  await rabbitmq.kill()
  let [asked, taken] = [1, 1]
  let over = false
  const started = performance.now()
  const arriving = (async () => {
    while (!over) {
      const due = Math.floor(((performance.now() - started) / 1000) * perSecond) + 1
      const numbers = range(asked, Math.max(asked, due))
      asked = Math.max(asked, due)
      taken += (await service.place(numbers)).length
      await delay(50)
    }
  })()
  await delay(awayMs)
  const waiting = await service.backlog()
  await rabbitmq.restart()
  await until(() => messages.length > 1)
  const [before, at] = [messages.length, performance.now()]
  await until(async () => (await service.backlog()) < perSecond / 10, 120)
  const rate = (messages.length - before) / ((performance.now() - at) / 1000)
  over = true
  await arriving
  t.comment(`${waiting} events waited; then ${Math.round(rate)} a second left, and ${perSecond} came`)
  t.ok(waiting > (awayMs / 1000) * perSecond * 0.9)
  t.equal(taken, asked, 'every order was taken')
  t.ok(rate >= 5 * perSecond)
  await until(() => new Set(messages.map(({ message_id }) => message_id)).size === asked)
})
