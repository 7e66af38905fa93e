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
  max: number
  /** Milliseconds of a clock that never goes back, if it is not that of the process. */
  elapsed?: (() => number) | undefined
}

const synchroniseMs = 60_000

async function database(app: FastifyInstance, { url, max, elapsed }: Options) {
  await app.register(postgres, { pg, ...connectionOptions(url, { max }) })
  app.decorate(
    'database',
    openDatabase(app.pg.pool, (error) => {
      app.log.warn({ err: error }, 'a database connection broke')
      app.meters.onDatabaseError('connection') // of the metrics plugin, which is there before any connection is
    }),
  )
  const clock = createDatabaseClock(app.database, elapsed)
  app.decorate('clock', clock)
  const synchronise = () =>
    clock.read().catch((error) => app.log.debug({ err: error }, 'the database did not tell the time'))
  let timer: NodeJS.Timeout
  app.addHook('onReady', async () => {
    await synchronise()
    timer = setInterval(synchronise, synchroniseMs).unref()
  })
  app.addHook('onClose', async () => clearInterval(timer))
}

export default fp(database, { name: 'database' })
