/**
 * How fast events go through RabbitMQ: orders are placed while the broker is away, and then it comes back.
 * `--orders` says how many. Everything runs on this machine, PostgreSQL with durable commits.
 */
import { parseArgs } from 'node:util'
import { createCluster } from '@orders/database/testing'
import { startRabbitmq } from '../e2e/broker/rabbitmq.ts'
import { range, startService, until } from '../e2e/broker/service.ts'
import { metric, startWorker } from '../e2e/broker/worker.ts'

const { values } = parseArgs({ options: { orders: { type: 'string', default: '20000' } } })
const wanted = Number(values.orders)
const endings: (() => Promise<void> | void)[] = []
const bench = { name: 'bench', teardown: (end: () => Promise<void> | void) => void endings.unshift(end) }

try {
  const rabbitmq = await startRabbitmq(bench)
  const service = await startService(bench, await createCluster(bench))
  const worker = await startWorker(bench, { DATABASE_URL: service.url, EVENTS_BROKER: rabbitmq.url })
  await until(async () => (await metric(worker, 'orders_broker_up{direction="publish"}')) === 1)
  await rabbitmq.shutdown()
  for (let n = 0; n < wanted; n += 500) await service.place(range(n, Math.min(n + 500, wanted)))
  console.log(`${await service.backlog()} events wait`)
  await rabbitmq.restart()
  const back = performance.now()
  const seconds = () => ((performance.now() - back) / 1000).toFixed(1)
  const published = () => metric(worker, 'orders_broker_published_total{outcome="accepted"}')
  await until(async () => (await published()) > 0)
  console.log(`${seconds()} s after the broker came back: the first is published`)
  await until(async () => (await published()) >= wanted, 600)
  console.log(`${seconds()} s: as many are published as waited`)
  await until(async () => (await service.confirmed()) === wanted && (await service.backlog()) === 0, 600)
  await until(
    async () => (await metric(worker, 'orders_broker_consumed_total{outcome="processed"}')) >= 2 * wanted,
    600,
  )
  console.log(`${seconds()} s: all orders are confirmed, and their ${2 * wanted} events have gone and come`)
  console.log(`${Math.round((2 * wanted) / Number(seconds()))} events/s`)
} finally {
  for (const end of endings) await end()
}
