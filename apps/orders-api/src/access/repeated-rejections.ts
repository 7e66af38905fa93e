/** A rejection as the audit log writes it; `by` is the user, or the network of a client without one. */
export type Rejection = { event: string; by: string; code: string; fields: Record<string, unknown> }

type Window = { first: Rejection; repeated: number; since: number }

/** Milliseconds for which the rejections of one client with one code are counted together. */
const windowMs = 60_000
/** Clients that are counted at a time; those beyond share one count by code, so that invented addresses need no memory. */
const maxWindows = 10_000

type Options = {
  /** Milliseconds of a monotonic clock. */
  now: () => number
  write(event: string, fields: Record<string, unknown>): void
}

/**
 * Writes the first rejection of a client with a code, and counts those that follow within a minute in one more line. A
 * rejected request costs a client nothing, so a line for each would let it fill the log.
 */
export function createRejectionLog({ now, write }: Options) {
  const windows = new Map<string, Window>()

  function end(key: string, { first, repeated, since }: Window): void {
    windows.delete(key)
    if (repeated === 0) return
    const { user, address, code, reason } = first.fields
    write(first.event, { user, address, code, reason, repeated, seconds: Math.round((now() - since) / 1000) })
  }

  return {
    add(rejection: Rejection): void {
      const { event, by, code, fields } = rejection
      const own = `${event} ${code} ${by}`
      const isShared = windows.size >= maxWindows && !windows.has(own)
      const key = isShared ? `${event} ${code}` : own
      const open = windows.get(key)
      if (open && now() - open.since < windowMs) {
        open.repeated++
        return
      }
      if (open) end(key, open)
      const first = isShared ? { ...rejection, fields: { ...fields, user: null, address: null } } : rejection
      windows.set(key, { first, repeated: 0, since: now() })
      write(event, fields)
    },
    /** Writes what was counted in minutes that are over, or in all with `all`. */
    flush({ all = false } = {}): void {
      for (const [key, window] of windows) if (all || now() - window.since >= windowMs) end(key, window)
    },
  }
}
