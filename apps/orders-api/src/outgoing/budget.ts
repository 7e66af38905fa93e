/** A response with bytes that may wait in this process for its client to read them. */
type Tracked = { userId: string | undefined; queued: () => number }

/** What has no room for more bytes. */
export type Full = 'user' | 'process'

/** Milliseconds between two counts: every waiting stream asks for room ten times a second. */
const recountMs = 50

type Options = {
  perUser: number
  perProcess: number
  /** Milliseconds, of a clock that never goes back. */
  now?: () => number
}

/**
 * Bounds the bytes that wait for clients to read them, of one user and of the whole process. It adds up what it admits,
 * and counts what really waits only when the sum reaches a bound, at most once in 50 ms.
 */
export function createBudget({ perUser, perProcess, now = () => performance.now() }: Options) {
  const tracked = new Set<Tracked>()
  let total = 0
  let ofUsers = new Map<string, number>()
  let countedAt = Number.NEGATIVE_INFINITY

  function recount(): void {
    countedAt = now()
    total = 0
    ofUsers = new Map()
    for (const { userId, queued } of tracked) add(userId, queued())
  }

  function add(userId: string | undefined, bytes: number): void {
    total += bytes
    if (userId !== undefined) ofUsers.set(userId, (ofUsers.get(userId) ?? 0) + bytes)
  }

  function fullFor(userId: string | undefined, bytes: number): Full | undefined {
    if (userId !== undefined && (ofUsers.get(userId) ?? 0) + bytes > perUser) return 'user'
    return total + bytes > perProcess ? 'process' : undefined
  }

  function find(userId: string | undefined, bytes: number): Full | undefined {
    if (fullFor(userId, bytes) && now() - countedAt >= recountMs) recount()
    return fullFor(userId, bytes)
  }

  return {
    perUser,
    /** Counts what `queued` returns until the returned function is called. */
    track(entry: Tracked): () => void {
      tracked.add(entry)
      return () => void tracked.delete(entry)
    },
    /** Makes room for bytes that are about to be written; returns what is full if there is none. */
    admit(userId: string | undefined, bytes: number): Full | undefined {
      const full = find(userId, bytes)
      if (!full) add(userId, bytes)
      return full
    },
    hasRoom: (userId: string | undefined, bytes: number) => find(userId, bytes) === undefined,
    /** Responses that are tracked. */
    tracked: () => tracked.size,
    /** Bytes that wait now. */
    queued(): number {
      recount()
      return total
    },
  }
}

export type Budget = ReturnType<typeof createBudget>
