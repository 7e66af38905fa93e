import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { connectionOptions } from './connection.ts'

const pauseMs = 500
const checkMs = 15_000

/**
 * Hears NOTIFYs of `channel` on a connection of its own, made again whenever it breaks. `onGap` is called each time it
 * is made, as what was told before that may have been missed; a connection that is silently dead is found within 30 s.
 */
export function listen(url: string, channel: string, onMessage: (payload: string) => void, onGap: () => void) {
  const closing = new AbortController()

  async function hear(): Promise<void> {
    const { max: _max, ...options } = connectionOptions(url)
    const client = new pg.Client({ ...options, application_name: 'orders-listen' })
    const broken = new Promise<void>((resolve) => {
      client.on('error', () => resolve())
      client.on('end', resolve)
    })
    try {
      await client.connect()
      if (closing.signal.aborted) return
      client.on('notification', ({ payload = '' }) => onMessage(payload))
      await client.query(`LISTEN ${client.escapeIdentifier(channel)}`)
      onGap()
      while (!closing.signal.aborted) {
        const pause = delay(checkMs, true, { signal: closing.signal, ref: false }).catch(() => false)
        if (!(await Promise.race([broken, pause]))) break
        await client.query('SELECT 1')
      }
    } finally {
      await client.end().catch(() => {})
    }
  }

  const done = (async () => {
    while (!closing.signal.aborted) {
      await hear().catch(() => {})
      await delay(pauseMs, undefined, { signal: closing.signal }).catch(() => {})
    }
  })()

  return {
    /** Ends the connection; one that is being made is made first, as ending it in between would never end. */
    async close(): Promise<void> {
      closing.abort()
      await done
    },
  }
}
