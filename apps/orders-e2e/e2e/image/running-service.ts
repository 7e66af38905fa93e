import type { ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'
import { createScratchDatabase } from '@orders/database/testing'
import { untilAlive } from './check-service.ts'
import { ended, type Launch } from './launch.ts'

export type Running = { base: URL; admin: URL; worker: URL; stop: () => Promise<void> }

const startMs = 60_000

/**
 * Migrates an empty database, serves and works from it, all by `launch`. `stop` asks both to end and throws an Error if
 * one does not end well. The database goes with this process.
 */
export async function runService(launch: Launch, settings: Record<string, string> = {}): Promise<Running> {
  const { url } = await createScratchDatabase({ name: 'image', teardown: () => {} }, { empty: true })
  await ended('migrate', launch('migrate', { DATABASE_URL: url }))
  const [port, adminPort, workerPort] = [await freePort(), await freePort(), await freePort()]
  const service = launch('serve', {
    DATABASE_URL: url,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    ADMIN_PORT: `${adminPort}`,
    DRAIN_DELAY_MS: '100',
    ...settings,
  })
  const worker = launch('work', { DATABASE_URL: url, ADMIN_PORT: `${workerPort}` })
  const running = {
    base: new URL(`http://127.0.0.1:${port}`),
    admin: new URL(`http://127.0.0.1:${adminPort}`),
    worker: new URL(`http://127.0.0.1:${workerPort}`),
    stop: async () => {
      for (const child of [service, worker]) child.kill('SIGTERM')
      await Promise.all([ended('The service', service), ended('The worker', worker)])
    },
  }
  try {
    await untilAlive(running.base, startMs, () => hasEnded(service))
    await untilAlive(running.worker, startMs, () => hasEnded(worker))
  } catch (error) {
    for (const child of [service, worker]) child.kill('SIGTERM')
    throw error
  }
  return running
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess) => exitCode !== null || signalCode !== null

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
