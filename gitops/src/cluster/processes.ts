import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type Running = {
  name: string
  child: ChildProcess
  /** Sends SIGTERM, and resolves when the process has ended. */
  stop: () => Promise<void>
}

/** The namespaces of a node, as arguments of nsenter; empty for the machine itself. */
export type Where = string[]

/**
 * Starts a program that runs as long as the cluster does. Its output goes to `logs/<name>.log`. An end that nobody asked
 * for is printed with the last lines of the log, because every later step would only wait for it.
 */
export function start(
  logs: string,
  name: string,
  where: Where,
  command: string[],
  env: NodeJS.ProcessEnv = {},
): Running {
  const file = join(logs, `${name}.log`)
  const log = openSync(file, 'a')
  const [program = '', ...args] = where.length > 0 ? ['nsenter', ...where, ...command] : command
  const child = spawn(program, args, { stdio: ['ignore', log, log], env: { ...process.env, ...env } })
  closeSync(log)
  let stopping = false
  child.on('error', (error) => console.error(`${name} did not start: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (!stopping) console.error(`${name} ended with ${code ?? signal}:\n${lastLines(file, 15)}`)
  })
  const stop = async () => {
    stopping = true
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGTERM')
    await once(child, 'exit')
  }
  return { name, child, stop }
}

/** The end of a log. */
export function lastLines(file: string, count: number): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-count).join('\n')
}
