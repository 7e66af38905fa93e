import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const repository = join(import.meta.dirname, '../../../..')
const startMs = 30_000

export type Exit = { code: number | null; signal: NodeJS.Signals | null }

/** What is used of a tap test. */
export interface Test {
  teardown(fn: () => Promise<void>): void
}

export interface Service {
  /** Waits until it serves; its address. Rejects with what it wrote if it ended, or is not ready after 30 s. */
  ready(): Promise<string>
  /** Of the process; 0 if it could not be started. */
  pid: number
  exited: Promise<Exit>
  kill(signal: NodeJS.Signals): void
  output: { stdout: string; stderr: string }
}

/**
 * Starts the service with these settings and none of this process's own environment, on a free port unless PORT is
 * set. It ends with this process, through the channel between them. `root` is the tree of its release.
 */
export function startService(settings: Record<string, string>, root = repository): Service {
  return start(join(root, 'apps/orders-api/src/server.ts'), settings)
}

/** Starts a worker, which is never ready in the sense of a service. */
export function startWorker(settings: Record<string, string>, root = repository): Service {
  return start(join(root, 'apps/orders-worker/src/worker.ts'), settings)
}

function start(program: string, settings: Record<string, string>): Service {
  const child = spawn(process.execPath, [program], {
    cwd: '/',
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', ...settings },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const output = { stdout: '', stderr: '' }
  const started = Promise.withResolvers<string>()
  started.promise.catch(() => {}) // whoever awaits ready() is told
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output.stdout += text
    const [, url] = /^Orders is ready on (\S+)$/m.exec(output.stdout) ?? []
    if (url) started.resolve(url)
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output.stderr += text
  })
  const late = setTimeout(() => started.reject(new Error(`not ready after ${startMs} ms: ${output.stderr}`)), startMs)
  const exited = once(child, 'close').then(([code, signal]): Exit => {
    started.reject(new Error(`ended with ${code ?? signal}: ${output.stderr || output.stdout}`))
    clearTimeout(late)
    return { code, signal }
  })
  return {
    ready: () => started.promise.finally(() => clearTimeout(late)),
    pid: child.pid ?? 0,
    exited,
    kill: (signal) => void child.kill(signal),
    output,
  }
}

/** Starts the service for a test, waits until it serves, and ends it with the test. */
export async function serve(t: Test, settings: Record<string, string>): Promise<Service & { url: string }> {
  const service = startService(settings)
  t.teardown(async () => {
    service.kill('SIGKILL')
    await service.exited
  })
  return { ...service, url: await service.ready() }
}
