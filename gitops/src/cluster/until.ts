import { setTimeout as delay } from 'node:timers/promises'

/**
 * Calls `why` until it answers no reason to wait, and says its reasons whenever they change. Throws an Error with the last
 * reasons after `minutes`.
 */
export async function until(
  what: string,
  minutes: number,
  why: () => Promise<string[]>,
  pauseMs = 1000,
  say: (line: string) => void = console.log,
): Promise<void> {
  const deadline = performance.now() + minutes * 60_000
  let told = ''
  for (;;) {
    const open = (await why().catch((error: Error) => [error.message])).join('\n  ')
    if (open === '') return say(`${what}: done`)
    if (open !== told) say(`${what}:\n  ${open}`)
    told = open
    if (performance.now() > deadline) throw new Error(`${what} took longer than ${minutes} min:\n  ${open}`)
    await delay(pauseMs)
  }
}
