import { isUtf8 } from 'node:buffer'
import { setImmediate } from 'node:timers/promises'
import { OrdersError } from '@orders/orders'

/** A record without its line end, and the line it begins on, counted from 1; or what makes it unreadable. */
export type Line = { line: number; text: string; fault?: undefined } | { line: number; fault: string }

const maxLineBytes = 65_536

const newline = 10
const quote = 34
const comma = 44

/**
 * Cuts a stream of bytes into lines, as many at a time as each chunk ends. With `quoted`, a line end inside a quoted
 * cell (RFC 4180) is part of its record. A line of more than 64 KiB is unreadable, and the next one is whole again. Empty
 * lines are counted and left out. After each chunk, other requests have their turn, also if none of its lines needs work.
 * Throws REQUEST_TIMEOUT if `timeout` milliseconds of waiting bring no whole line, BAD_REQUEST if the sender goes away, and
 * the reason of the signal when that aborts.
 */
export async function* readLines(
  chunks: AsyncIterator<Buffer>,
  { quoted, timeout, signal }: { quoted: boolean; timeout: number; signal?: AbortSignal },
): AsyncGenerator<Line[]> {
  const cells = quoted ? createQuoteScanner() : undefined
  let parts: Buffer[] = []
  let length = 0
  let begins = 1
  let current = 1
  let waited = 0

  function add(bytes: Buffer) {
    length += bytes.length
    if (length > maxLineBytes) parts = []
    else if (bytes.length > 0) parts.push(bytes)
  }

  function take(): Line {
    const line = { line: begins, ...readText(parts, length) }
    parts = []
    length = 0
    begins = current
    return line
  }

  for (;;) {
    const from = performance.now()
    signal?.throwIfAborted()
    const next = await within(Math.max(timeout - waited, 1), chunks.next(), signal)
    if (next.done) break
    waited += performance.now() - from
    const chunk = next.value
    const lines: Line[] = []
    for (let at = 0; at < chunk.length; ) {
      const found = chunk.indexOf(newline, at)
      const end = found < 0 ? chunk.length : found
      const inside = cells?.scan(chunk, at, end) ?? false
      if (found >= 0) current++
      add(chunk.subarray(at, inside && found >= 0 ? end + 1 : end))
      at = end + 1
      if (found < 0 || inside) continue
      cells?.reset()
      waited = 0
      if (length > 0) lines.push(take())
      else begins = current
    }
    if (lines.length > 0) yield lines
    await setImmediate()
  }
  if (length > 0) yield [take()]
}

function readText(parts: Buffer[], length: number): { text: string } | { fault: string } {
  if (length > maxLineBytes) return { fault: `it is longer than ${maxLineBytes} bytes` }
  const [first = Buffer.alloc(0)] = parts
  const whole = parts.length > 1 ? Buffer.concat(parts) : first
  return isUtf8(whole) ? { text: whole.toString() } : { fault: 'it is not UTF-8' }
}

/** Tells whether a position of CSV lies inside a quoted cell; a quote elsewhere than at a cell's start opens none. */
function createQuoteScanner() {
  let state: 'start' | 'plain' | 'quoted' | 'closed' = 'start'
  return {
    scan(bytes: Buffer, from: number, to: number): boolean {
      for (let i = from; i < to; i++) {
        const byte = bytes[i]
        if (state === 'quoted') {
          if (byte === quote) state = 'closed'
        } else if (byte === quote) state = state === 'plain' ? 'plain' : 'quoted'
        else state = byte === comma ? 'start' : 'plain'
      }
      return state === 'quoted'
    },
    reset() {
      state = 'start'
    },
  }
}

async function within<T>(ms: number, promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const aborted = Promise.withResolvers<never>()
  const abort = () => aborted.reject(signal?.reason)
  signal?.addEventListener('abort', abort)
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new OrdersError('REQUEST_TIMEOUT', 'No whole line arrived in time.')), ms)
  })
  const gone = () => new OrdersError('BAD_REQUEST', 'The connection ended before the body did.')
  try {
    return await Promise.race([promise.catch(() => Promise.reject(gone())), late, aborted.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
  }
}
