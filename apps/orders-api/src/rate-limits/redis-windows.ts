import { createHash } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { SettingsError } from '@orders/runtime'
import { createClient } from '@redis/client'
import { type Figures, windowMs } from './figures.ts'
import type { Key, Met } from './windows.ts'

type Client = ReturnType<typeof newClient>

/** How long a request waits for Redis, at most once an outage: then the connection is given up. */
const answerMs = 250
const connectMs = 1000
const pauseMs = 1000

// Looks at all keys before it counts on any, in one step and one round trip.
const script = `
local met, wait = 0, 0
for i, key in ipairs(KEYS) do
  if tonumber(redis.call('GET', key) or '0') >= tonumber(ARGV[i + 1]) then
    local left = redis.call('PTTL', key)
    if left >= wait then met, wait = i, left end
  end
end
if met > 0 then return {met, wait} end
for _, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('PEXPIRE', key, ARGV[1]) end
end
return {0, 0}`

const sha = createHash('sha1').update(script).digest('hex')
const prefix = 'orders:limit:'

/**
 * Counts in Redis, for all processes together; takes one server or its failover address, not a cluster. `onChange` is
 * called when Redis begins to answer, and with the error when it no longer does. Throws a SettingsError for a bad address.
 */
export function createRedisWindows(url: string, figures: Figures, onChange: (why?: Error) => void) {
  newClient(url) // opens nothing yet
  const closing = new AbortController()
  let current: Client | undefined
  let giveUp: (why: Error) => void = () => {}

  /** Keeps one connection, made again a moment after it broke; of a whole outage one error is told. */
  async function keep(): Promise<void> {
    let told = false
    while (!closing.signal.aborted) {
      const broken = Promise.withResolvers<never>()
      giveUp = broken.reject
      const client = newClient(url).on('error', giveUp)
      try {
        await within(connectMs, Promise.race([broken.promise, connect(client)]))
        current = client
        onChange()
        told = false
        await broken.promise
      } catch (error) {
        if (!told && !closing.signal.aborted) onChange(error as Error)
        told = true
      } finally {
        current = undefined
        client.destroy()
      }
      // Not all processes at once, when it comes back.
      const pause = pauseMs * (0.5 + Math.random())
      await delay(pause, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  let done: Promise<void> | undefined

  return {
    open: (): void => {
      done ??= keep()
    },
    isUp: (): boolean => current !== undefined,
    /** Counts a request on all keys; or on none, if one of them has no room. Rejects if Redis does not answer in time. */
    async spend(keys: readonly Key[]): Promise<Met | undefined> {
      const client = current
      if (!client) throw new Error('Redis does not answer')
      try {
        return await within(answerMs, spendIn(client, keys, figures))
      } catch (error) {
        if (client === current) giveUp(error as Error)
        throw error
      }
    },
    async close(): Promise<void> {
      closing.abort()
      giveUp(new Error('closed'))
      await done
    },
  }
}

function newClient(url: string) {
  try {
    return createClient({
      url,
      disableOfflineQueue: true,
      maintNotifications: 'disabled',
      commandOptions: { timeout: 0 }, // it would bound the time until a command is sent only
      socket: { connectTimeout: connectMs, reconnectStrategy: false },
    })
  } catch {
    // The library's own error tells the password.
    throw new SettingsError('REDIS_URL cannot be used: set it to an address like redis://:password@redis:6379/0.')
  }
}

/** Shows with a key of its own that the server takes writes: a full one or a replica would refuse each request's. */
async function connect(client: Client): Promise<void> {
  await client.connect()
  await client.scriptLoad(script)
  await evaluate(client, ['probe'], [Number.MAX_SAFE_INTEGER])
}

async function spendIn(client: Client, keys: readonly Key[], figures: Figures): Promise<Met | undefined> {
  const names = keys.map(({ limit, of }) => `${limit}:${of}`)
  const room = keys.map(({ limit }) => figures[limit])
  const [met, waitMs] = await evaluate(client, names, room)
  const key = keys[met - 1]
  return key && { limit: key.limit, waitMs }
}

async function evaluate(client: Client, names: string[], room: number[]): Promise<[met: number, waitMs: number]> {
  const reply = await client.evalSha(sha, {
    keys: names.map((name) => prefix + name),
    arguments: [windowMs, ...room].map(String),
  })
  return reply as [number, number]
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`Redis did not answer within ${ms} ms`)), ms)
  try {
    return await Promise.race([work, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
