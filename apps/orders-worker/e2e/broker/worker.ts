import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, fstatSync, openSync, readSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from './rabbitmq.ts'
import { until } from './service.ts'

const program = join(import.meta.dirname, '../../src/worker.ts')

/** Starts a worker, with none of this process's own environment, and waits until it works; it ends with the test. */
export async function startWorker(t: Test, settings: Record<string, string>) {
  const log = openLog()
  const child = spawn(process.execPath, [program], {
    cwd: '/',
    env: { PATH: process.env.PATH, LOG_LEVEL: 'info', ADMIN_PORT: '0', ...settings },
    stdio: ['ignore', log.fd, log.fd, 'ipc'], // it ends with this process, through the channel between them
  })
  const exited = once(child, 'exit')
  async function end(signal: NodeJS.Signals): Promise<number | null> {
    child.kill(signal)
    const [code] = await exited
    return code
  }
  t.teardown(async () => {
    await end('SIGKILL')
    closeSync(log.fd)
  })
  const portOf = (text: string) => /Server listening at http:\/\/[^"]+:(\d+)/.exec(text)?.[1]
  await until(() => {
    if (child.exitCode !== null) throw new Error(`the worker ended: ${log.read()}`)
    return log.read().includes('"msg":"the worker is ready"') && portOf(log.read()) !== undefined
  })
  const port = portOf(log.read())
  return {
    output: log.read,
    end,
    /** The status and the text of a page of its own. */
    async ask(path: string): Promise<{ status: number; text: string }> {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`)
      return { status: answer.status, text: await answer.text() }
    },
    /** How many lines of its log say this. */
    lines: (message: string) =>
      log
        .read()
        .split('\n')
        .filter((line) => line.includes(`"msg":"${message}`)).length,
  }
}

export type Worker = Awaited<ReturnType<typeof startWorker>>

// A file without a name, which can be read whole at any time and leaves nothing behind.
function openLog() {
  const path = join(tmpdir(), `orders-worker-${randomUUID()}`)
  const fd = openSync(path, 'a+')
  unlinkSync(path)
  const read = () => {
    const bytes = Buffer.alloc(fstatSync(fd).size)
    readSync(fd, bytes, 0, bytes.length, 0)
    return bytes.toString()
  }
  return { fd, read }
}

/** The value of one series on a worker's page of metrics. */
export async function metric(worker: Worker, series: string): Promise<number> {
  const { text } = await worker.ask('/metrics')
  const line = text.split('\n').find((it) => it.startsWith(`${series} `))
  return Number(line?.split(' ').at(-1) ?? Number.NaN)
}
