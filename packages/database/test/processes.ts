import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Command lines of the running processes that name `folder`. */
export function processesOf(folder: string): string[] {
  return commandLines().filter((command) => command.includes(folder))
}

/** Waits until the condition holds; rejects after the time. */
export async function waitUntil(condition: () => boolean, timeoutMs = 5000): Promise<void> {
  for (const deadline = Date.now() + timeoutMs; !condition(); await delay(10)) {
    if (Date.now() > deadline) throw new Error(`Not within ${timeoutMs} ms: ${condition}`)
  }
}

function commandLines(): string[] {
  if (process.platform !== 'linux') return execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' }).split('\n')
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return [readFileSync(`/proc/${Number(pid)}/cmdline`, 'utf8')]
    } catch {
      return []
    }
  })
}
