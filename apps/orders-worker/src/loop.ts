import { setTimeout as delay } from 'node:timers/promises'

type Options = {
  /** Does some of the work, and answers how much; 0 if there was none. */
  work: () => Promise<number>
  /** Milliseconds until it is tried without being woken. */
  idleMs: number
  /** The most work that it does in a second. */
  perSecond?: number | undefined
  onFailure: (error: Error) => void
}

export type Loop = ReturnType<typeof startLoop>

const longestPauseMs = 30_000
const longestLatenessMs = 100

/**
 * Works for as long as there is something to do, and then waits to be woken. After a failure it waits twice as long each
 * time, with jitter, and nobody wakes it: many that fail together must not come back together.
 */
export function startLoop({ work, idleMs, perSecond = Number.POSITIVE_INFINITY, onFailure }: Options) {
  const stopping = new AbortController()
  let waking = Promise.withResolvers<void>()
  let failures = 0
  let due = 0

  async function turn(): Promise<void> {
    try {
      waking = Promise.withResolvers<void>()
      const started = performance.now()
      const found = await work()
      failures = 0
      // A turn that a timer began late shortens the next pause; a rest does not, for that would become a rush.
      due = (started - due < longestLatenessMs ? due : started) + (found / perSecond) * 1000
      if (found > 0) await pause(Math.max(0, due - performance.now()))
      else await Promise.race([waking.promise, pause(idleMs)])
    } catch (error) {
      onFailure(error as Error)
      const longest = Math.min(longestPauseMs, 100 * 2 ** failures++)
      await pause(longest * (0.5 + Math.random() / 2))
    }
  }

  const pause = (ms: number) => delay(ms, undefined, { signal: stopping.signal }).catch(() => {})

  const ended = (async () => {
    while (!stopping.signal.aborted) await turn()
  })()

  return {
    /** There may be something to do. */
    wake: () => waking.resolve(),
    /** Resolves when what is being worked on is done. */
    async stop(): Promise<void> {
      stopping.abort()
      waking.resolve()
      await ended
    },
  }
}
