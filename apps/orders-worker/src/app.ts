import { assertServable, connectDatabase, listen } from '@orders/database'
import { appendFirst, createProcessing, createPruning, createRelay, openHistory } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import type { Config } from './config.ts'
import { startLoop } from './loop.ts'
import { createMeters } from './meters.ts'

const relays = 2
const idleMs = 1000
const pruneEveryMs = 10 * 60_000

/** Sets the worker up: its jobs run from when it is ready until it closes. The server tells how it is. */
export async function app(server: FastifyInstance, config: Config): Promise<void> {
  const onError = (error: Error) => server.log.warn({ err: error }, 'a database connection broke')
  const open = (role: 'orders_app' | 'orders_worker') => {
    const { database, close } = connectDatabase(config.DATABASE_URL, { max: config.DATABASE_POOL_MAX, role, onError })
    server.addHook('onClose', close)
    return database
  }
  const everyOrg = open('orders_worker')
  const oneOrg = open('orders_app')
  await assertServable(oneOrg)

  const history = await openHistory({
    database: oneOrg,
    cosmosEndpoint: config.HISTORY_COSMOS_ENDPOINT,
    cosmosDatabase: config.HISTORY_COSMOS_DATABASE,
    onAway: (error) => server.log.warn({ err: error }, 'Cosmos DB does not take events: they will be tried again'),
  })
  server.addHook('onClose', history.close)

  const meters = createMeters(() => relay.lag())
  const { processEvents } = createProcessing({ database: oneOrg, onEvents: meters.onEvents })
  const relay = createRelay({
    database: everyOrg,
    handOn: appendFirst(history, processEvents),
    handsOn: config.HISTORY_COSMOS_ENDPOINT ? 'all' : 'placed',
    onOutcome: meters.onOutcome,
  })
  const pruning = createPruning(everyOrg)

  const loop = (name: string, work: () => Promise<number>, more: { idleMs?: number; perSecond?: number } = {}) =>
    startLoop({
      work,
      idleMs,
      ...more,
      onFailure: (error) => {
        meters.onFailure(name)
        server.log.warn({ err: error, job: name }, 'a job failed, and will be tried again')
      },
    })
  const relaying = Array.from({ length: relays }, () => loop('relay', relay.relay))
  const move = async () => {
    const moved = await relay.move()
    if (moved > 0) for (const { wake } of relaying) wake()
    return moved
  }
  const moving = loop('move', move, { perSecond: config.EVENTS_PER_SECOND })
  const loops = [moving, ...relaying, loop('prune', pruning.prune, { idleMs: pruneEveryMs })]
  const wake = () => {
    for (const { wake } of [moving, ...relaying]) wake()
  }
  const news = listen(config.DATABASE_URL, 'events', wake, wake)
  // Hooks run last in, first out: the jobs end before their connections do.
  server.addHook('onClose', async () => {
    await Promise.all([news.close(), ...loops.map(({ stop }) => stop())])
  })

  server.get('/livez', async () => ({ status: 'ok' }))
  server.get('/readyz', async () => ({ status: 'ready' }))
  server.get('/metrics', async (_request, reply) => {
    reply.type(meters.registry.contentType)
    return meters.registry.metrics()
  })
}
