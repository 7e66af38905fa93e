/** Tells a service that fails from a machine that is too busy to run it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cgroup } from './machine.ts'
import { start } from './processes.ts'

const name = 'starvation'
const attempts = 3

/**
 * Starts a process that has the share of a pod of node1 that requests 100m, as those of the service do. Its log is what
 * `starvedSeconds` reads. Call it once the kubelet of node1 runs.
 */
export function watchStarvation(logs: string): void {
  const [root, file, share] = existsSync('/sys/fs/cgroup/cgroup.controllers')
    ? ['/sys/fs/cgroup', 'cpu.weight', 4]
    : ['/sys/fs/cgroup/cpu', 'cpu.shares', 102]
  const folder = join(root, cgroup, 'node1/kubepods/burstable', name)
  mkdirSync(folder, { recursive: true })
  if (existsSync(join(folder, file))) writeFileSync(join(folder, file), `${share}`)
  const { child } = start(logs, name, [], [process.execPath, join(import.meta.dirname, 'starvation-probe.ts')])
  writeFileSync(join(folder, 'cgroup.procs'), `${child.pid}`)
}

/** In how many seconds since an instant (milliseconds since 1970) a pod of the service could not have answered in time. */
export function starvedSeconds(logs: string, since: number): number {
  const lines = readFileSync(join(logs, `${name}.log`), 'utf8').split('\n')
  return lines.filter((line) => Date.parse(line.split(' ', 1)[0] ?? '') >= since).length
}

/**
 * Measures again, up to three times, when a measurement failed while the pods starved: it shows nothing about the service
 * then. `starved` answers the seconds since an instant in which they did.
 */
export async function repeatIfStarved<T>(starved: (since: number) => number, measure: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    const since = Date.now()
    try {
      return await measure()
    } catch (error) {
      const seconds = starved(since)
      if (seconds === 0) throw error
      const message = `${(error as Error).message} The pods starved for ${seconds} s meanwhile`
      if (attempt === attempts) throw new Error(`${message}, and in ${attempts - 1} attempts before.`, { cause: error })
      console.log(`failed: ${message}: once more`)
    }
  }
}
