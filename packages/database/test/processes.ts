import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Command lines of the running processes that name `folder`. */
export function processesOf(folder: string): string[] {
  return running()
    .map(({ command }) => command)
    .filter((command) => command.includes(folder))
}

/** The shells that end the server of `folder` when the process that started it is gone. */
export function watchdogsOf(folder: string): number[] {
  return running()
    .filter(({ command }) => command.includes(folder) && /^\S*sh\b/.test(command))
    .map(({ pid }) => pid)
}

/** Waits until the condition holds; rejects after the time. */
export async function waitUntil(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !condition(); await delay(10)) {
    if (Date.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${condition}`)
  }
}

function running(): { pid: number; command: string }[] {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,args='], { encoding: 'utf8' }).trim().split('\n')
    return lines.map((line) => ({ pid: Number.parseInt(line, 10), command: line.trim().replace(/^\d+\s+/, '') }))
  }
  return readdirSync('/proc').flatMap((name) => {
    try {
      return [{ pid: Number(name), command: readFileSync(`/proc/${Number(name)}/cmdline`, 'utf8') }]
    } catch {
      return []
    }
  })
}
