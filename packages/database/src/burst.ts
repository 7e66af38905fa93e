import type { Writable } from 'node:stream'
import type pg from 'pg'

/** pg writes each message of each query by itself: held together, a burst costs one system call instead of four. */
export function inOnePacket<const T>(client: pg.PoolClient, send: () => T): T {
  const { stream } = (client as unknown as { connection: { stream: Writable } }).connection
  stream.cork()
  try {
    return send()
  } finally {
    stream.uncork()
  }
}

type Settled<T extends readonly unknown[]> = { -readonly [K in keyof T]: Awaited<T[K]> }

/** Waits for all of a burst, so that a failed statement never leaves the others' answers to the connection's next user. */
export async function settle<const T extends readonly (Promise<unknown> | undefined)[]>(burst: T): Promise<Settled<T>> {
  const results = await Promise.allSettled(burst)
  const values = results.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
  return values as Settled<T>
}
