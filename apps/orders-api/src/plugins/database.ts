import postgres from '@fastify/postgres'
import { connectionOptions, type Database, openDatabase } from '@orders/database'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import pg from 'pg'

declare module 'fastify' {
  interface FastifyInstance {
    database: Database
  }
}

async function database(app: FastifyInstance, { url, max }: { url: string; max: number }) {
  await app.register(postgres, { pg, ...connectionOptions(url, { max }) })
  app.decorate(
    'database',
    openDatabase(app.pg.pool, (error) => {
      app.log.warn({ err: error }, 'a database connection broke')
      app.meters.onDatabaseError('connection') // of the metrics plugin, which is there before any connection is
    }),
  )
}

export default fp(database, { name: 'database' })
