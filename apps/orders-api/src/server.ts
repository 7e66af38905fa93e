import { setTimeout as delay } from 'node:timers/promises'
import { assertServable, explainDatabaseError, whenAvailable } from '@orders/database'
import { onShutdown } from '@orders/runtime'
import Fastify, { type FastifyInstance } from 'fastify'
import { app } from './app.ts'
import { type Config, help, readConfig } from './config.ts'
import { limits } from './limits.ts'
import { serverOptions } from './server-options.ts'

if (process.argv.includes('--help')) {
  console.log(help)
} else {
  try {
    await serve(readConfig())
  } catch (error) {
    console.error(explainDatabaseError(error) ?? explainListenError(error) ?? (error as Error).message)
    process.exit(1)
  }
}

async function serve(config: Config): Promise<void> {
  let server: FastifyInstance | undefined
  let admin: FastifyInstance | undefined
  onShutdown(
    async (reason) => {
      if (reason !== 'SIGINT' && reason !== 'disconnect' && server) {
        server.startDraining?.()
        await delay(config.DRAIN_DELAY_MS)
      }
      await Promise.all([server && close(server), admin?.close()])
    },
    {
      onFailure: (error) => console.error(`Closing failed: ${error.message}`),
      onUnhandled: (error, kind) => {
        server?.meters?.onUnhandledError(kind)
        if (server) server.log.fatal({ err: error, kind }, 'an unhandled error ends this process')
        else console.error(error)
      },
    },
  )

  server = await whenAvailable(config.DATABASE_WAIT_MS, () => start(config))
  const address = await server.listen({ port: config.PORT, host: config.HOST })
  if (config.ADMIN_PORT !== undefined) {
    const { answerScrape } = server.meters
    admin = Fastify()
    admin.get('/metrics', (_request, reply) => answerScrape(reply))
    await admin.listen({ port: config.ADMIN_PORT, host: config.HOST })
  }
  const url = new URL(address)
  if (config.HOST === 'localhost') url.hostname = 'localhost'
  console.log(`Orders is ready on ${url.href.replace(/\/$/, '')}`)
}

async function start(config: Config): Promise<FastifyInstance> {
  const server = Fastify(serverOptions(config))
  try {
    await app(server, config)
    await server.ready()
    await assertServable(server.database)
    return server
  } catch (error) {
    await server.close().catch(() => {})
    throw error
  }
}

/**
 * Waits for the requests in flight, and closes the connections that are still open after `closeTimeout`: those of exports,
 * and of clients that read slowly. A keep-alive connection that becomes idle meanwhile would hold the process for 72 s.
 */
async function close(server: FastifyInstance): Promise<void> {
  server.startDraining?.()
  const idle = setInterval(() => server.server.closeIdleConnections(), 100)
  const late = setTimeout(() => server.server.closeAllConnections(), limits.closeTimeout)
  await server.close()
  clearInterval(idle)
  clearTimeout(late)
}

function explainListenError(error: unknown): string | undefined {
  const { code, syscall, port, address } = error as { code?: string; syscall?: string; port?: number; address?: string }
  if (syscall !== 'listen') return undefined
  if (code === 'EADDRINUSE')
    return `Port ${port} is taken: stop what uses it, or set PORT (or ADMIN_PORT) to another one.`
  if (code === 'EACCES') return `Port ${port} needs more rights: set PORT to one above 1023.`
  return `Cannot listen on ${address}:${port} (${code}): set HOST and PORT to an address of this machine.`
}
