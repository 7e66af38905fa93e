import type { ServerResponse } from 'node:http'
import { OrdersError } from '@orders/orders'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { createSlots, Kind } from './concurrency.ts'
import { watchReadRate } from './read-rate.ts'

type Entry = {
  kind: Kind
  request: FastifyRequest
  response: ServerResponse
  ending: AbortController
  /** When the authorisation was last confirmed. */
  confirmedAt: number
  isTooSlow: () => boolean
}

type Options = {
  slots: ReturnType<typeof createSlots>
  /** Milliseconds, of a clock that never goes back. */
  now: () => number
  /** Milliseconds over which a client's read rate is measured. */
  windowMs: number
  onTooSlow: () => void
}

/** Seconds until a refused client should try again. */
const retryAfterSeconds = 10
/** The longest time in milliseconds without a confirmed authorisation, whatever prevents the check. */
const maxUnconfirmedMs = 30_000
const checksAtOnce = 4
/** Milliseconds that a response has for its last words, before its connection is closed. */
const lastWordsMs = 5000
const denials = /^(UNAUTHENTICATED|ORG_NOT_FOUND|ROLE_REQUIRED|SCOPE_REQUIRED)$/

/** Keeps track of responses that may last longer than 30 s: exports, imports, and streams of events. */
export function createLongResponses({ slots, now, windowMs, onTooSlow }: Options) {
  const open = new Set<Entry>()
  let draining = false
  let rechecking: Promise<void> | undefined

  /**
   * Registers the response until it closes. The signal aborts with the OrdersError that ends it. Throws RATE_LIMITED and
   * OVERLOADED.
   */
  function begin(kind: Kind, request: FastifyRequest, reply: FastifyReply): AbortSignal {
    const release = takeSlot(kind, request, reply)
    const { raw: response } = reply
    const ending = new AbortController()
    const { isTooSlow } = watchReadRate(response, windowMs, now)
    const entry: Entry = { kind, request, response, ending, confirmedAt: now(), isTooSlow }
    open.add(entry)
    const close = () => {
      if (open.delete(entry)) release()
    }
    response.once('close', close)
    if (response.destroyed || response.closed || request.raw.socket.destroyed) {
      // The client left before the handler started: `close` may have been emitted already.
      close()
      ending.abort(new OrdersError('BAD_REQUEST', 'The client closed the connection.'))
    } else if (draining && kind !== 'export') end(entry, shuttingDown())
    return ending.signal
  }

  function takeSlot(kind: Kind, { caller, orgId }: FastifyRequest, reply: FastifyReply): () => void {
    try {
      return slots.take(kind, { userId: caller.user?.id, orgId })
    } catch (error) {
      reply.header('retry-after', retryAfterSeconds)
      throw error
    }
  }

  /** Sweeps, and rechecks every response unless the last check still runs. */
  function check(): Promise<void> {
    sweep()
    rechecking ??= recheck().finally(() => {
      rechecking = undefined
    })
    return rechecking
  }

  /** Checks the authorisation of every response, or of those of one user. */
  async function recheck(userId?: string): Promise<void> {
    const entries = [...open].filter(({ request }) => userId === undefined || request.caller.user?.id === userId)
    const queue = entries.values()
    const work = async () => {
      for (const entry of queue) if (open.has(entry)) await recheckOne(entry)
    }
    await Promise.all(Array.from({ length: checksAtOnce }, work))
  }

  async function recheckOne(entry: Entry): Promise<void> {
    try {
      await entry.request.recheck?.()
      entry.confirmedAt = now()
    } catch (error) {
      if (error instanceof OrdersError && denials.test(error.code)) end(entry, error)
    }
  }

  /** Ends the responses that could not be checked in time, or whose client reads too slowly. */
  function sweep(): void {
    for (const entry of open) {
      if (now() - entry.confirmedAt > maxUnconfirmedMs) {
        end(entry, new OrdersError('DATABASE_UNAVAILABLE', 'Your access could not be checked for 30 s.'))
      } else if (entry.kind !== 'stream' && entry.isTooSlow()) {
        onTooSlow()
        end(entry, new OrdersError('REQUEST_TIMEOUT', 'The response was read too slowly.'))
      }
    }
  }

  function end({ kind, request, response, ending }: Entry, error: OrdersError): void {
    if (ending.signal.aborted) return
    ending.abort(error)
    const close = () => {
      if (response.writableFinished || response.destroyed) return
      request.log.warn(
        { reqId: request.id, code: error.code },
        `the connection of a response (${kind}) was closed before its end`,
      )
      response.destroy()
    }
    setTimeout(close, lastWordsMs).unref()
  }

  /** Ends streams and imports; exports go on for as long as the process waits for its connections. */
  function drain(): void {
    draining = true
    for (const entry of open) if (entry.kind !== 'export') end(entry, shuttingDown())
  }

  /** What the organisation uses of the limits of this process. */
  const useOf = (orgId: string) => [slots.useOf('stream', orgId), slots.useOf('import', orgId)]

  return { begin, check, recheck, sweep, drain, useOf, count: () => open.size }
}

const shuttingDown = () => new OrdersError('SHUTTING_DOWN', 'The server is shutting down.')
