import { type Figures, type Limit, windowMs } from './figures.ts'

/** One thing that requests are counted on: a limit, and whose. */
export type Key = { limit: Limit; of: string }

/** The limit that a request met, and the milliseconds until it is taken again. */
export type Met = { limit: Limit; waitMs: number }

type Window = { count: number; until: number }

// Two generations, of which the older one goes as a whole: taking out the oldest keys one by one took 13 times as long.
type Keys = { young: Map<string, Window>; old: Map<string, Window>; since: number }

const generationAtMost = 10_000

/**
 * Counts in this process. A window begins with a key's first request, and ends a minute later. Each limit keeps so many
 * keys: invented addresses can push out other addresses, but neither users nor organisations. `now` tells milliseconds.
 */
export function createWindows(figures: Figures, now: () => number = () => performance.now()) {
  const kept = new Map<Limit, Keys>()

  const open = ({ limit, of }: Key): Window | undefined => {
    const keys = kept.get(limit)
    const found = keys?.young.get(of) ?? keys?.old.get(of)
    return found && found.until > now() ? found : undefined
  }

  function count(key: Key): void {
    const found = open(key)
    if (found) found.count++
    else begin(key)
  }

  function begin({ limit, of }: Key): void {
    let keys = kept.get(limit)
    if (!keys || keys.young.size >= generationAtMost || now() - keys.since >= windowMs) {
      keys = { young: new Map(), old: keys?.young ?? new Map(), since: now() }
      kept.set(limit, keys)
    }
    keys.young.set(of, { count: 1, until: now() + windowMs })
  }

  return {
    /** Counts a request on all keys; or on none, if one of them has no room. */
    spend(keys: readonly Key[]): Met | undefined {
      const met = keys.filter((key) => (open(key)?.count ?? 0) >= figures[key.limit])
      if (met.length === 0) {
        for (const key of keys) count(key)
        return undefined
      }
      const waits = met.map((key) => ({ limit: key.limit, waitMs: (open(key)?.until ?? now()) - now() }))
      return waits.reduce((longest, wait) => (wait.waitMs > longest.waitMs ? wait : longest))
    },
    /** Whether a request on the key would be refused. */
    isSpent: (key: Key): boolean => (open(key)?.count ?? 0) >= figures[key.limit],
    /** Keys that are remembered. */
    size: (): number => kept.values().reduce((sum, { young, old }) => sum + young.size + old.size, 0),
  }
}
