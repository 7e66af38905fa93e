import { checkUrl, createLookup, type EgressOptions, type Lookup } from '@orders/runtime'
import { post, type Reply } from './post.ts'
import { type Secret, type Signed, signatureHeaders } from './signature.ts'

const totalMs = 10_000
const longestWaitSeconds = 86_400

export type Message = Signed & {
  url: string
  /** One, or two during a rotation. */
  secrets: Secret[]
}

export type Outcome = {
  /** Null if none came. The message has arrived if it is 2xx, whatever became of the rest of the reply. */
  status: number | null
  /** The start of the reply, at most 4 kB in UTF-8, without NUL. */
  reply: string
  duration_ms: number
  /** What the receiver asks for by Retry-After, at most a day. */
  retry_after_seconds?: number
  /** Why there is no status, or why it is none to go on with; a sentence for the owner of the endpoint. */
  error?: string
}

type Options = EgressOptions & {
  lookup?: Lookup
  /** Certificates to trust instead of the usual ones, as PEM: for tests. */
  ca?: string
}

export type Sender = ReturnType<typeof createSender>

/** Sends signed messages to the endpoints of strangers, and nothing to anywhere that is not public. */
export function createSender({ allowLoopback = false, lookup = createLookup(), ca }: Options = {}) {
  const attempts = new Set<AbortController>()
  let closed = false

  /** Takes at most 10 s, of which 3 s to connect. Never rejects. */
  async function sendWebhook(message: Message): Promise<Outcome> {
    const startedAt = performance.now()
    const attempt = new AbortController()
    attempts.add(attempt)
    if (closed) attempt.abort(new Error('the sender is closed'))
    const late = new Error(`no reply within ${totalMs / 1000} s`)
    const timer = setTimeout(() => attempt.abort(late), totalMs)
    const result = await deliver(message, attempt.signal).catch((error) => failed(error, attempt.signal))
    clearTimeout(timer)
    attempts.delete(attempt)
    return { ...result, duration_ms: Math.round(performance.now() - startedAt) }
  }

  async function deliver({ url, secrets, ...signed }: Message, signal: AbortSignal) {
    const destination = await unlessAborted(checkUrl(url, { allowLoopback, lookup }), signal)
    if ('refusal' in destination) throw new Error(destination.refusal)
    const headers = {
      'content-type': 'application/cloudevents+json',
      'user-agent': 'Orders-Webhooks/1',
      ...signatureHeaders(signed, secrets),
    }
    return outcomeOf(await post(destination, { headers, body: signed.body, signal, ca }))
  }

  return {
    sendWebhook,
    /** Ends what is on its way, which then tells so. */
    close(): void {
      closed = true
      for (const attempt of attempts) attempt.abort(new Error('the sender is closed'))
    },
  }
}

function outcomeOf({ status, headers, reply }: Reply) {
  const wait = secondsOf(headers['retry-after'], headers.date)
  return {
    status,
    reply,
    ...(wait === undefined ? {} : { retry_after_seconds: wait }),
    ...(status >= 300 && status < 400 ? { error: 'redirects are not followed' } : {}),
  }
}

/** Retry-After is a number of seconds, or a date (RFC 9110) by the clock of the receiver, which `date` shows. */
function secondsOf(value: string | undefined, date = ''): number | undefined {
  if (value === undefined) return undefined
  const isNumber = /^\d+$/.test(value)
  if (!isNumber && !value.endsWith(' GMT')) return undefined
  const seconds = isNumber ? Number(value) : Math.ceil((Date.parse(value) - Date.parse(date)) / 1000)
  return Number.isNaN(seconds) ? undefined : Math.min(Math.max(seconds, 0), longestWaitSeconds)
}

function failed(error: NodeJS.ErrnoException, signal: AbortSignal) {
  // Codes only: messages of the platform hold addresses.
  const reason = signal.aborted
    ? signal.reason.message
    : error.code
      ? `the request failed: ${error.code}`
      : error.message
  return { status: null, reply: '', error: reason }
}

async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => aborted.reject(signal.reason), { once: true })
  return Promise.race([work, aborted.promise])
}
