import postgres from '@fastify/postgres'
import { type Clock, connectionOptions, createDatabaseClock, type Database, openDatabase } from '@orders/database'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import pg from 'pg'

declare module 'fastify' {
  interface FastifyInstance {
    database: Database
    /** For durations and instants; nothing else tells the time. */
    clock: Clock
  }
}

type Options = {
  url: string
  /** The setting CONTEXT_KEY. */
  contextKey: string | undefined
  max: number
  /** Milliseconds of a clock that never goes back, if it is not that of the process. */
  elapsed?: (() => number) | undefined
}

const synchroniseMs = 60_000
const durabilityCheckMs = 1000

async function database(app: FastifyInstance, { url, contextKey, max, elapsed }: Options) {
  await app.register(postgres, { pg, ...connectionOptions(url, { max, contextKey }) })
  const onError = (error: Error) => {
    app.log.warn({ err: error }, 'a database connection broke')
    app.meters.onDatabaseError('connection') // of the metrics plugin, which is there before any connection is
  }
  let ready = false
  const onDurabilityChange = (fault: string | undefined) => {
    if (!ready) return // The start fails with a sentence about it.
    if (fault) app.log.error({ fault }, 'the database is not durable: writes are refused')
    else app.log.warn('the database is durable again: writes are accepted')
  }
  app.decorate('database', openDatabase(app.pg.pool, onError, onDurabilityChange))
  const clock = createDatabaseClock(app.database, elapsed)
  app.decorate('clock', clock)
  const synchronise = () =>
    clock.read().catch((error) => app.log.debug({ err: error }, 'the database did not tell the time'))
  // A database that does not answer keeps the state that was found last.
  const checkDurability = () => app.database.checkDurability().catch(() => {})
  const timers: NodeJS.Timeout[] = []
  app.addHook('onReady', async () => {
    await synchronise()
    ready = true
    timers.push(setInterval(synchronise, synchroniseMs).unref())
    timers.push(setInterval(checkDurability, durabilityCheckMs).unref())
  })
  app.addHook('onClose', async () => {
    for (const timer of timers) clearInterval(timer)
  })
}

export default fp(database, { name: 'database' })
