import { setTimeout as delay } from 'node:timers/promises'
import { pgErrorCode } from '@orders/database'

const attempts = 3

/** Runs `work` again after a serialization failure (40001) or a deadlock (40P01), which roll back as a whole. */
export function retryingConflicts<Args extends unknown[], Result>(work: (...args: Args) => Promise<Result>) {
  return async (...args: Args): Promise<Result> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work(...args)
      } catch (error) {
        if (attempt >= attempts || !/^(40001|40P01)$/.test(pgErrorCode(error) ?? '')) throw error
        await new Promise((resolve) => setTimeout(resolve, 5 * attempt + Math.random() * 20))
      }
    }
  }
}

/** Repeats `work` after each pause (milliseconds) while its error may pass. Throws its last error. */
export async function repeating<T>(
  work: () => Promise<T>,
  pauses: readonly number[],
  mayPass: (error: unknown) => boolean,
): Promise<T> {
  for (const pause of pauses) {
    try {
      return await work()
    } catch (error) {
      if (!mayPass(error)) throw error
      await delay(pause)
    }
  }
  return work()
}
