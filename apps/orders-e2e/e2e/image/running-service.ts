import { createServer } from 'node:net'
import { createScratchDatabase } from '@orders/database/testing'
import { untilAlive } from './check-service.ts'
import { ended, type Launch } from './launch.ts'

export type Running = { base: URL; admin: URL; stop: () => Promise<void> }

const startMs = 60_000

/**
 * Migrates an empty database and serves from it, both by `launch`. `stop` asks it to end and throws an Error if it
 * does not end well. The database goes with this process.
 */
export async function runService(launch: Launch, settings: Record<string, string> = {}): Promise<Running> {
  const { url } = await createScratchDatabase({ name: 'image', teardown: () => {} }, { empty: true })
  await ended('migrate', launch('migrate', { DATABASE_URL: url }))
  const [port, adminPort] = [await freePort(), await freePort()]
  const service = launch('serve', {
    DATABASE_URL: url,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    ADMIN_PORT: `${adminPort}`,
    DRAIN_DELAY_MS: '100',
    ...settings,
  })
  const running = {
    base: new URL(`http://127.0.0.1:${port}`),
    admin: new URL(`http://127.0.0.1:${adminPort}`),
    stop: async () => {
      service.kill('SIGTERM')
      await ended('The service', service)
    },
  }
  try {
    await untilAlive(running.base, startMs, () => service.exitCode !== null || service.signalCode !== null)
  } catch (error) {
    service.kill('SIGTERM')
    throw error
  }
  return running
}

async function freePort(): Promise<number> {
  const server = createServer()
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  const address = server.address()
  await new Promise((done) => server.close(done))
  if (address === null || typeof address === 'string') throw new Error('No port is free on 127.0.0.1.')
  return address.port
}
