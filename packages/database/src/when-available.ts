import { setTimeout as delay } from 'node:timers/promises'
import { isUnavailable } from './errors.ts'

const pauseMs = 250

/**
 * Runs `work`, and runs it again while the database cannot be reached, for up to `waitMs` milliseconds: the database may
 * start later, and the network of a new pod may let nothing through yet. Throws the last error of `work`.
 */
export async function whenAvailable<T>(waitMs: number, work: () => Promise<T>): Promise<T> {
  for (const giveUpAt = performance.now() + waitMs; ; ) {
    try {
      return await work()
    } catch (error) {
      if (!isUnavailable(error) || performance.now() > giveUpAt) throw error
      await delay(pauseMs)
    }
  }
}
