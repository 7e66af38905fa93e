import { setTimeout as delay } from 'node:timers/promises'
import { ExponentialBackoff } from 'cockatiel'
import type { BrokerAddress } from './address.ts'
import { dial, type Line } from './dial.ts'
import { BrokerError } from './error.ts'

/** Until a broker that was reached has let us in, and until it has answered what it was sent. */
export const answerMs = 10_000
const longestPauseMs = 5000
const pauses = new ExponentialBackoff({ initialDelay: 250, maxDelay: longestPauseMs })

type Options<Link> = {
  address: BrokerAddress
  /** Opens what is needed on a new connection. */
  attach: (line: Line) => Promise<Link>
  /** Called with the link when it can be used, and with the reason when it no longer can: once for each change. */
  onChange: (why?: BrokerError) => void
}

/** Keeps one connection, made again after pauses that grow, with jitter: many that lost it must not come back together. */
export function keepConnection<Link>({ address, attach, onChange }: Options<Link>) {
  const closing = new AbortController()
  let line: Line | undefined
  let current: Link | undefined

  async function keep(): Promise<void> {
    let told = false
    for (let pause = pauses.next(); !closing.signal.aborted; pause = pause.next(undefined)) {
      await delay(pause.duration, undefined, { signal: closing.signal }).catch(() => {})
      if (closing.signal.aborted) return
      line = dial(address)
      try {
        current = await inTime(line, attach(line))
        const upSince = performance.now()
        told = false
        onChange()
        const why = await line.lost
        if (performance.now() - upSince > longestPauseMs) pause = pauses.next()
        throw why
      } catch (error) {
        current = undefined
        line.cut(error as Error)
        if (!told && !closing.signal.aborted) onChange(error as BrokerError)
        told = true
      }
    }
  }
  let done: Promise<void> | undefined

  return {
    open: (): void => {
      done ??= keep()
    },
    current: (): Link | undefined => current,
    async close(): Promise<void> {
      closing.abort()
      await line?.close()
      await done
    },
  }
}

/** Rejects if the connection is lost, or takes too long, before the work is done. */
async function inTime<T>(line: Line, work: Promise<T>): Promise<T> {
  const timer = setTimeout(() => line.cut(new BrokerError(`no answer within ${answerMs / 1000} s`)), answerMs)
  const lost = line.lost.then((why) => Promise.reject(why))
  try {
    return await Promise.race([work, lost])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
    lost.catch(() => {})
  }
}
