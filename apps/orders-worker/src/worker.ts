import { explainDatabaseError, whenAvailable } from '@orders/database'
import { onShutdown } from '@orders/runtime'
import Fastify, { type FastifyInstance } from 'fastify'
import { app } from './app.ts'
import { type Config, help, readConfig } from './config.ts'

if (process.argv.includes('--help')) {
  console.log(help)
} else {
  try {
    await work(readConfig())
  } catch (error) {
    console.error(explainDatabaseError(error) ?? (error as Error).message)
    process.exit(1)
  }
}

async function work(config: Config): Promise<void> {
  let server: FastifyInstance | undefined
  onShutdown(async () => server?.close(), {
    onFailure: (error) => console.error(`Closing failed: ${error.message}`),
    onUnhandled: (error, kind) => {
      server?.meters?.onUnhandledError(kind)
      if (server) server.log.fatal({ err: error, kind }, 'an unhandled error ends this process')
      else console.error(error)
    },
  })
  server = await whenAvailable(config.DATABASE_WAIT_MS, () => start(config))
  if (config.ADMIN_PORT !== undefined) await server.listen({ port: config.ADMIN_PORT, host: '0.0.0.0' })
  server.log.info('the worker is ready')
}

async function start(config: Config): Promise<FastifyInstance> {
  // As in the API, not pino's own destination, which does not end where the reader of its pipe is gone.
  const server = Fastify({ logger: { level: config.LOG_LEVEL, stream: process.stdout } })
  try {
    await app(server, config)
    await server.ready()
    return server
  } catch (error) {
    await server.close().catch(() => {})
    throw error
  }
}
