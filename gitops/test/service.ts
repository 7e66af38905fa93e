import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { createScratchDatabase } from '@orders/database/testing'

const program = join(import.meta.dirname, '../../apps/orders-api/src/server.ts')

/** What is used of a tap test. */
type Test = { name: string; teardown(fn: () => Promise<void>): void }

/** The service as a cluster runs it, with a database of its own; its address. It ends with the test. */
export async function startService(t: Test, settings: Record<string, string> = {}): Promise<string> {
  const { url } = await createScratchDatabase(t)
  const child = spawn(process.execPath, [program], {
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', DATABASE_URL: url, ...settings },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const lines = createInterface(child.stdout as NodeJS.ReadableStream)
  const [line] = await Promise.race([once(lines, 'line'), exited.then(([code]) => [`it ended with ${code}`])])
  const [, address] = /^Orders is ready on (\S+)$/.exec(String(line)) ?? []
  if (address === undefined) throw new Error(`the service did not start: ${line}`)
  return address
}
