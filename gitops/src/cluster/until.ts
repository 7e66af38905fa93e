import { setTimeout as delay } from 'node:timers/promises'

/**
 * Asks again until `why` has nothing against it; says what it still has whenever that changes. Throws an Error with the
 * last of it after `minutes`.
 */
export async function until(
  what: string,
  minutes: number,
  why: () => Promise<string[]>,
  pauseMs = 1000,
): Promise<void> {
  const deadline = Date.now() + minutes * 60_000
  let told = ''
  for (;;) {
    const open = (await why().catch((error: Error) => [error.message])).join('\n  ')
    if (open === '') return console.log(`${what}: done`)
    if (open !== told) console.log(`${what}:\n  ${open}`)
    told = open
    if (Date.now() > deadline) throw new Error(`${what} took longer than ${minutes} min:\n  ${open}`)
    await delay(pauseMs)
  }
}
