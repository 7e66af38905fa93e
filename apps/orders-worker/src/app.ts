import { assertServable, connectDatabase, listen } from '@orders/database'
import {
  appendFirst,
  createDelivering,
  createFanOut,
  createGuestRemoval,
  createProcessing,
  createPruning,
  createRelay,
  createStatistics,
  createStatisticsBackfill,
  openHistory,
} from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import { readBrokerAddress } from './broker/address.ts'
import { BrokerError } from './broker/error.ts'
import { useBroker } from './broker/use-broker.ts'
import type { Config } from './config.ts'
import { type Loop, startLoop } from './loop.ts'
import { createMeters } from './meters.ts'
import { createSender } from './webhooks/sender.ts'

declare module 'fastify' {
  interface FastifyInstance {
    meters: ReturnType<typeof createMeters>
  }
}

/** What a killed worker had published and not marked yet is published again: about this for each of its two relays. */
const publishAtOnce = 50
// Rather than give up what a queue that is full refuses, it is tried for a day.
const publishPauses = [1, 5, 15, 60, 300, 1800, 7200, 21_600, 43_200].map((seconds) => seconds * 1000)
const idleMs = 1000
const pruneEveryMs = 10 * 60_000
/** Rows deleted and users examined per second at most by one worker, so that other statements are not delayed. */
const removalsPerSecond = 5000
// Changes of one row that are folded together cost one write of it. After a migration or an outage there are millions.
const foldEveryMs = 5000
const foldPerSecond = 50_000
const backfillEveryMs = 10_000

/** Sets the worker up: its jobs run from when it is ready until it closes. The server tells how it is. */
export async function app(server: FastifyInstance, config: Config): Promise<void> {
  const address = config.EVENTS_BROKER === 'none' ? undefined : readBrokerAddress(config.EVENTS_BROKER)
  const { everyOrg, oneOrg, unlimited } = openDatabases(server, config)
  await assertServable(oneOrg)

  const loops: Record<string, Loop[]> = {}
  const wake = (...jobs: string[]) => {
    for (const job of jobs) for (const loop of loops[job] ?? []) loop.wake()
  }
  const statistics = createStatistics(everyOrg)
  const meters = createMeters({
    relay: () => relay.lag(),
    deliveries: () => delivering.deliveryLag(),
    statistics: statistics.backlog,
  })
  server.decorate('meters', meters)
  const onFailure = (job: string, error: Error) => {
    meters.onFailure(job)
    if (!(error instanceof BrokerError)) server.log.warn({ err: error, job }, 'a job failed, and will be tried again')
  }

  const history = await openHistory({
    database: oneOrg,
    cosmosEndpoint: config.HISTORY_COSMOS_ENDPOINT,
    cosmosDatabase: config.HISTORY_COSMOS_DATABASE,
    onAway: (error) => server.log.warn({ err: error }, 'Cosmos DB does not take events: they will be tried again'),
  })
  const { processEvents, effect } = createProcessing({
    database: oneOrg,
    onEvents: (type, count) => {
      meters.onEvents(type, count)
      wake('move') // what was done is in the outbox
    },
  })
  const broker =
    address &&
    (await useBroker(server, {
      address,
      handle: processEvents,
      registry: meters.registry,
      onUp: () => wake('relay'),
      onFailure,
    }))
  const relay = createRelay({
    database: everyOrg,
    onOutcome: meters.onOutcome,
    handOn: appendFirst(history, broker?.publish ?? processEvents),
    effect: broker || config.HISTORY_COSMOS_ENDPOINT ? undefined : effect,
    ...(broker && { batch: publishAtOnce, retryPauses: publishPauses }),
  })
  const sender = createSender({ allowLoopback: config.WEBHOOKS_ALLOW_LOOPBACK === 'true' })
  const delivering = createDelivering({
    database: everyOrg,
    send: sender.sendWebhook,
    onOutcome: meters.onDelivery,
    onDisabled: (webhook) => server.log.warn(webhook, 'a webhook was turned off'),
    onFailure: (error) => onFailure('deliver', error),
    onRoom: () => wake('deliver'),
  })

  const start = (job: string, work: () => Promise<number>, more: { idleMs?: number; perSecond?: number } = {}) =>
    startLoop({ work, idleMs, onFailure: (error) => onFailure(job, error), ...more })
  const handOn = async () => (broker && !broker.isUp() ? 0 : relay.relay())
  loops.move = [start('move', relay.move, { perSecond: config.EVENTS_PER_SECOND })]
  // One reads while the other waits for the broker; without one, they would only take the database from others.
  loops.relay = Array.from({ length: broker ? 2 : 1 }, () => start('relay', handOn))
  const fanOut = createFanOut({ database: everyOrg, onDeliveries: () => wake('deliver') })
  loops['fan-out'] = [start('fan-out', fanOut)]
  loops.deliver = [start('deliver', delivering.deliver)]
  const { onRemoved } = meters
  loops.prune = [start('prune', createPruning(everyOrg, onRemoved).prune, { idleMs: pruneEveryMs })]
  const { removeGuests } = createGuestRemoval({ database: everyOrg, days: config.GUESTS_KEPT_DAYS, onRemoved })
  loops['remove-guests'] = [
    start('remove-guests', removeGuests, { idleMs: pruneEveryMs, perSecond: removalsPerSecond }),
  ]

  const fold = () => statistics.fold()
  loops['fold-statistics'] = [start('fold-statistics', fold, { idleMs: foldEveryMs, perSecond: foldPerSecond })]

  const backfill = createStatisticsBackfill(unlimited)
  loops['backfill-statistics'] = [start('backfill-statistics', backfill, { idleMs: backfillEveryMs })]

  // An API tells that there are events, and whoever moved some, here or elsewhere, tells whose.
  const onNews = (orgId: string) => (orgId === '' ? wake('move') : wake('relay', 'fan-out', 'deliver'))
  const news = listen(config.DATABASE_URL, 'events', onNews, () => wake('move', 'relay', 'fan-out', 'deliver'))
  // Hooks run last in, first out: the jobs end before what they use.
  server.addHook('onClose', async () => {
    await Promise.all([news.close(), ...Object.values(loops).flatMap((some) => some.map(({ stop }) => stop()))])
    await delivering.idle()
    await Promise.all([sender.close(), history.close()])
  })
  await server.register(serveState, { meters })
}

function openDatabases(server: FastifyInstance, { DATABASE_URL, DATABASE_POOL_MAX, CONTEXT_KEY }: Config) {
  const onError = (error: Error) => server.log.warn({ err: error }, 'a database connection broke')
  const onDurabilityChange = (fault: string | undefined) => {
    if (fault) server.log.error({ fault }, 'the database is not durable: orders are not changed')
    else server.log.warn('the database is durable again')
  }
  const open = (role: 'orders_app' | 'orders_worker', limits = { max: DATABASE_POOL_MAX, unlimited: false }) => {
    const options = { ...limits, role, contextKey: CONTEXT_KEY, onError, onDurabilityChange }
    const { database, close } = connectDatabase(DATABASE_URL, options)
    server.addHook('onClose', close)
    return database
  }
  return {
    everyOrg: open('orders_worker'),
    oneOrg: open('orders_app'),
    unlimited: open('orders_worker', { max: 1, unlimited: true }),
  }
}

async function serveState(server: FastifyInstance, { meters }: { meters: ReturnType<typeof createMeters> }) {
  server.get('/livez', async () => ({ status: 'ok' }))
  server.get('/readyz', async () => ({ status: 'ready' }))
  server.get('/metrics', async (_request, reply) => {
    reply.type(meters.registry.contentType)
    return meters.registry.metrics()
  })
}
