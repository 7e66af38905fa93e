import { OrdersError } from '@orders/orders'

/** Long responses and scans at a time: of one process, of one organisation in it, and of one user in it. */
const defaults = {
  streams: 1500,
  'org-streams': 500,
  'user-streams': 100,
  /** Each export holds a connection to the database; the pool may allow fewer. */
  exports: 4,
  'org-exports': 2,
  'user-exports': 1,
  imports: 32,
  'org-imports': 8,
  'user-imports': 4,
  /** Reads without a bound on the rows that PostgreSQL visits. The rest of the pool is for writes and other reads. */
  scans: 2,
  'org-scans': 1,
  'user-scans': 1,
}

export type ConcurrencyLimit = keyof typeof defaults
export type Kind = 'stream' | 'export' | 'import' | 'scan'

export const concurrencyLimits = Object.keys(defaults) as ConcurrencyLimit[]

const pair = `(${concurrencyLimits.join('|')})=[1-9][0-9]{0,5}`

/** Of the setting: the limits that differ from the defaults. */
export const concurrencyPattern = `^${pair}(,${pair})*$`
export const defaultConcurrency = Object.entries(defaults)
  .map(([name, limit]) => `${name}=${limit}`)
  .join(',')

function readLimits(setting: string | undefined, scans: number): Record<ConcurrencyLimit, number> {
  const preset = { ...defaults, scans: Math.max(1, Math.min(defaults.scans, scans)) }
  if (!setting) return preset
  const pairs = setting.split(',').map((text) => text.split('='))
  return { ...preset, ...Object.fromEntries(pairs.map(([name, limit]) => [name, Number(limit)])) }
}

/** Who opens a response. Requests without a token have no user, and only the other limits apply. */
export type Holder = { userId: string | undefined; orgId: string }

type Options = {
  /** See CONCURRENCY_LIMITS. */
  setting: string | undefined
  onRateLimited: (limit: ConcurrencyLimit) => void
  /** Most scans for which the pool has connections, unless the setting says otherwise. */
  scans?: number
}

/** Counts the long responses of this process, and refuses those beyond the limits. */
export function createSlots({ setting, onRateLimited, scans = defaults.scans }: Options) {
  const limits = readLimits(setting, scans)
  const taken = new Map<string, number>()
  const add = (key: string, count: number) => {
    const sum = (taken.get(key) ?? 0) + count
    if (sum === 0) taken.delete(key)
    else taken.set(key, sum)
  }

  /**
   * Takes a slot and returns the function that gives it back. Throws RATE_LIMITED, which states the limit of the user or
   * of the organisation, and OVERLOADED, which states that of the process.
   */
  function take(kind: Kind, holder: Holder): () => void {
    const limit = findFull(kind, holder)
    if (limit) throw refuse(limit)
    const scopes = scopesOf(kind, holder)
    for (const { key } of scopes) add(key, 1)
    return () => {
      for (const { key } of scopes) add(key, -1)
    }
  }

  /** The limit that leaves the holder no slot; undefined if there is one. */
  const findFull = (kind: Kind, holder: Holder): ConcurrencyLimit | undefined =>
    // The narrowest limit first: it is the one that the client can act on.
    scopesOf(kind, holder)
      .toReversed()
      .find(({ limit, key }) => (taken.get(key) ?? 0) >= limits[limit])?.limit

  function refuse(limit: ConcurrencyLimit): OrdersError {
    onRateLimited(limit)
    return new OrdersError(limit.includes('-') ? 'RATE_LIMITED' : 'OVERLOADED', messageOf(limit, limits[limit]))
  }

  /** How many responses of a kind the organisation has open in this process, and the most that it may have. */
  const useOf = (kind: Kind, orgId: string) => {
    const [, { limit, key }] = scopesOf(kind, { orgId, userId: undefined }) as [Scope, Scope]
    return { name: `${kind}s`, used: taken.get(key) ?? 0, limit: limits[limit] }
  }

  return { take, findFull, refuse, useOf }
}

type Scope = { limit: ConcurrencyLimit; key: string }

const scopesOf = (kind: Kind, { userId, orgId }: Holder): Scope[] => [
  { limit: `${kind}s` as const, key: kind },
  { limit: `org-${kind}s` as const, key: `${kind} of organisation ${orgId}` },
  ...(userId === undefined ? [] : [{ limit: `user-${kind}s` as const, key: `${kind} of user ${userId}` }]),
]

function messageOf(limit: ConcurrencyLimit, figure: number): string {
  const [scope, kinds] = limit.includes('-') ? limit.split('-') : ['', limit]
  const most = `at most ${figure} ${figure === 1 ? kinds?.slice(0, -1) : kinds} at a time`
  if (scope === 'user') return `You may have ${most} on this server.`
  if (scope === 'org') return `The organisation may have ${most} on this server.`
  return `This server serves ${most}.`
}
