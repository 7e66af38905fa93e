import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

const stopMs = 4000
// The heap of the image. Without bounds Node leaves garbage of an import lie until it has used 400 MB.
const heap = ['--max-old-space-size=256', '--max-semi-space-size=16']

export interface ServerExit {
  code: number
  signal: NodeJS.Signals | null
}

export interface ServerProcess {
  exited: Promise<ServerExit>
  /** Asks it to drain and waits until it is gone; kills it after 4 s. */
  stop(): Promise<void>
}

const server = join(import.meta.dirname, '../server.ts')
const worker = join(import.meta.dirname, '../../../orders-worker/src/worker.ts')

/**
 * Starts the server and, unless it is asked for help only, the worker beside it: when one ends, so does the other.
 * Only the server gets ADMIN_PORT: two processes cannot listen on one port.
 */
export function startServer(args: string[], env: NodeJS.ProcessEnv): ServerProcess {
  const both = [start(server, args, env)]
  if (!args.includes('--help')) both.push(start(worker, [], { ...env, ADMIN_PORT: undefined }))
  return {
    exited: Promise.race(both.map(({ exited }) => exited)),
    stop: async () => void (await Promise.all(both.map(({ stop }) => stop()))),
  }
}

/**
 * Starts a program in a session of its own, so that Ctrl-C reaches only the runner, which stops it in order. The channel
 * to it closes with this process, and the program then ends by itself.
 */
function start(file: string, args: string[], env: NodeJS.ProcessEnv): ServerProcess {
  const child = spawn(process.execPath, [...heap, file, ...args], {
    detached: true,
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit').then(([code, signal]) => ({ code: code ?? 1, signal }))
  const stop = async () => {
    child.kill('SIGTERM')
    const late = setTimeout(() => child.kill('SIGKILL'), stopMs)
    await exited
    clearTimeout(late)
  }
  return { exited, stop }
}
