import { assertServable, connectionOptions, listen, openDatabase } from '@orders/database'
import { createProcessing, createPruning, createRelay } from '@orders/orders'
import type { FastifyInstance } from 'fastify'
import pg from 'pg'
import { readBrokerAddress } from './broker/address.ts'
import { BrokerError } from './broker/error.ts'
import { useBroker } from './broker/use-broker.ts'
import type { Config } from './config.ts'
import { startLoop } from './loop.ts'
import { createMeters } from './meters.ts'

const relays = 2
/** What a killed worker had published and not marked yet is published again: at most this for each of its relays. */
const publishAtOnce = 50
// Rather than give up what a queue that is full refuses, it is tried for a day.
const publishPauses = [1, 5, 15, 60, 300, 1800, 7200, 21_600, 43_200].map((seconds) => seconds * 1000)
const idleMs = 1000
const pruneEveryMs = 10 * 60_000

/** Sets the worker up: its jobs run from when it is ready until it closes. The server tells how it is. */
export async function app(server: FastifyInstance, config: Config): Promise<void> {
  const address = config.EVENTS_BROKER === 'none' ? undefined : readBrokerAddress(config.EVENTS_BROKER)
  const onError = (error: Error) => server.log.warn({ err: error }, 'a database connection broke')
  const open = (role: 'orders_app' | 'orders_worker') => {
    const pool = new pg.Pool(connectionOptions(config.DATABASE_URL, { max: config.DATABASE_POOL_MAX, role }))
    server.addHook('onClose', () => pool.end())
    return openDatabase(pool, onError)
  }
  const everyOrg = open('orders_worker')
  const oneOrg = open('orders_app')
  await assertServable(oneOrg)

  const meters = createMeters(() => relay.lag())
  const { processEvents } = createProcessing({ database: oneOrg, onEvents: meters.onEvents })
  const onFailure = (job: string, error: Error) => {
    meters.onFailure(job)
    if (error instanceof BrokerError) return
    server.log.warn({ err: error, job }, 'a job failed, and will be tried again')
  }
  const broker =
    address &&
    (await useBroker(server, {
      address,
      handle: processEvents,
      registry: meters.registry,
      onUp: () => wake(),
      onFailure,
    }))
  const relay = createRelay({
    database: everyOrg,
    onOutcome: meters.onOutcome,
    ...(broker
      ? { handOn: broker.publish, batch: publishAtOnce, retryPauses: publishPauses }
      : { handOn: processEvents }),
  })
  const pruning = createPruning(everyOrg)

  const loop = (name: string, work: () => Promise<number>, everyMs = idleMs) =>
    startLoop({
      work,
      idleMs: everyMs,
      onFailure: (error) => onFailure(name, error),
    })
  const relaying = Array.from({ length: relays }, () =>
    loop('relay', async () => (broker && !broker.isUp() ? 0 : relay.relay())),
  )
  const moving = loop('move', async () => {
    const moved = await relay.move()
    if (moved > 0) for (const { wake } of relaying) wake()
    return moved
  })
  const loops = [moving, ...relaying, loop('prune', pruning.prune, pruneEveryMs)]
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
