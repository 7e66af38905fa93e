const rest = 10
const maxKept = 1000

/**
 * Shares costly work among those who ask for the same: while it runs, and for ten times as long as it took. So it is
 * fresh where it is cheap, and takes at most a tenth of one connection's time where it is not; a failure counts too.
 */
export function sharing<Args extends string[], Result>(
  work: (...args: Args) => Promise<Result>,
  now = () => performance.now(),
): (...args: Args) => Promise<Result> {
  const kept = new Map<string, { result: Promise<Result>; until: number }>()
  return (...args) => {
    const key = args.join(' ')
    const known = kept.get(key)
    if (known && now() < known.until) return known.result
    const started = now()
    const entry = { result: work(...args), until: Number.POSITIVE_INFINITY }
    const settled = () => {
      const ended = now()
      entry.until = ended + rest * (ended - started)
    }
    entry.result.then(settled, settled)
    kept.delete(key)
    kept.set(key, entry)
    for (const oldest of kept.keys()) {
      if (kept.size <= maxKept) break
      kept.delete(oldest)
    }
    return entry.result
  }
}

/** What `promise` becomes within `ms`, else `late`. */
export async function within<T, L>(ms: number, promise: Promise<T>, late: L): Promise<T | L> {
  const { promise: over, resolve } = Promise.withResolvers<L>()
  const timer = setTimeout(resolve, ms, late)
  return Promise.race([promise, over]).finally(() => clearTimeout(timer))
}
