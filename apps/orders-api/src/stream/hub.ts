import { setTimeout as delay, setImmediate as endOfTurn } from 'node:timers/promises'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { userOf } from '../plugins/outgoing.ts'
import { createFeeds } from './feeds.ts'
import { createOut, drained, type Feed, queuedFor, type Reader, textOf } from './reader.ts'
import { createTurns } from './turns.ts'

/** Events that are read at once; an event has up to 70 kB. */
const batch = 50
/** Bytes that may wait for a reader; one with more gets the rest at its own pace. */
const maxBehind = 64 * 1024
const lastWordsMs = 5000
/** Milliseconds after which a reader looks again for room in the budget of queued bytes. */
const roomMs = 100
/** Readers that get an event before the sockets are given a turn to send it. */
const readersPerTurn = 64

type Options = {
  app: Pick<FastifyInstance, 'orders' | 'log' | 'meters' | 'outgoing' | 'longResponses'>
  /** Milliseconds in which a reader has to take what waits for it. */
  patienceMs: number
  /** Reads of the log at a time. */
  reads: number
}

/**
 * Sends the events of an organisation to everyone who listens. One read of the log serves all readers that have caught up;
 * the others read by themselves, and wait after each event until their client has taken it.
 */
export function createHub({ app, patienceMs, reads }: Options) {
  const { orders, log, meters, outgoing } = app
  const feeds = createFeeds(orders)
  const all = new Set<Reader>()
  const inTurn = createTurns(reads)

  /**
   * Returns the events of the request's organisation after a position, or from now on, as text/event-stream; the id of
   * each is its position. Throws STREAM_POSITION_GONE, RATE_LIMITED, OVERLOADED.
   */
  async function open(request: FastifyRequest, reply: FastifyReply, after: number | undefined) {
    const ending = app.longResponses.begin('stream', request, reply)
    const { orgId, id: requestId } = request
    if (after !== undefined) await orders.assertReadable(orgId, after)
    const { feed, release } = await feeds.hold(orgId)
    const out = createOut()
    const position = after ?? feed.position
    const reader = {
      orgId,
      userId: userOf(request),
      requestId,
      out,
      response: reply.raw,
      position,
      feed,
      batch: 2,
      refused: 0,
    }
    const untrack = outgoing.track({ userId: reader.userId, queued: () => queuedFor(reader) })
    all.add(reader)
    out.once('close', () => {
      untrack()
      release()
      all.delete(reader)
      feed.readers.delete(reader)
    })
    out.write(`retry: 2000\nid: ${position}\nevent: begin\ndata: {"position":${position}}\n\n`)
    ending.addEventListener('abort', () => end(reader, reasonOf(ending.reason)))
    if (ending.aborted) end(reader, reasonOf(ending.reason))
    follow(reader)
    return out
  }

  /** Sends what the reader has missed, at its own pace, until it is where the others are. */
  async function catchUp(reader: Reader): Promise<void> {
    const { out, feed } = reader
    while (out.writable) {
      if (out.writableNeedDrain && !(await drained(out, patienceMs))) return cut(reader)
      if (reader.position === feed.position) {
        feed.readers.add(reader)
        return
      }
      const room = outgoing.hasRoom(reader.userId, reader.refused) && (await sendMissed(reader))
      if (!room) await delay(roomMs)
    }
  }

  /** Writes missed events until the client has to take them first. What is not written is read again, not kept. */
  async function sendMissed(reader: Reader): Promise<boolean> {
    const { out, userId } = reader
    const missed = await inTurn(() => orders.readLog(reader.orgId, reader.position, reader.batch))
    let written = 0
    for (const logged of missed) {
      if (!out.writable || out.writableNeedDrain) break
      const text = textOf(logged)
      reader.refused = outgoing.admit(userId, text.length) ? text.length : 0
      if (reader.refused > 0) return false
      write(reader, text, logged.position)
      written++
    }
    reader.batch = Math.min(out.writableNeedDrain ? Math.max(written, 1) : reader.batch * 2, batch)
    return written > 0
  }

  function write(reader: Reader, text: Buffer, position: number): void {
    reader.position = position
    reader.out.write(text)
  }

  function follow(reader: Reader): void {
    catchUp(reader).catch((error) => {
      log.warn({ err: error, reqId: reader.requestId }, 'a stream could not be read')
      end(reader, 'the database does not answer')
    })
  }

  /** Reads new events of the organisation, or of every organisation that someone listens to. */
  function lookFor(orgId?: string): void {
    feeds.each(orgId, advance)
  }

  function advance(orgId: string, feed: Feed): void {
    feed.again = true
    feed.reading ??= sendNew(orgId, feed)
      .catch((error) => log.warn({ err: error }, 'the log of events could not be read'))
      .finally(() => {
        feed.reading = undefined
      })
  }

  async function sendNew(orgId: string, feed: Feed): Promise<void> {
    while (feed.again) {
      feed.again = false
      const found = await inTurn(() => orders.readLog(orgId, feed.position, batch))
      for (const logged of found) {
        feed.position = logged.position
        await sendToAll(feed, textOf(logged), logged.position)
      }
      if (found.length === batch) feed.again = true
    }
  }

  async function sendToAll(feed: Feed, text: Buffer, position: number): Promise<void> {
    let sent = 0
    for (const reader of feed.readers) {
      if (reader.position >= position) continue // it caught up during this loop
      const behind = queuedFor(reader) + text.length > maxBehind && queuedFor(reader) > 0
      if (!behind && !outgoing.admit(reader.userId, text.length)) write(reader, text, position)
      else fallBehind(reader)
      if (++sent % readersPerTurn === 0) await endOfTurn()
    }
  }

  function fallBehind(reader: Reader): void {
    reader.feed.readers.delete(reader)
    follow(reader)
  }

  function cut(reader: Reader): void {
    if (!reader.out.destroyed) meters.onStreamCut()
    end(reader, 'you read too slowly')
  }

  /** Finds what no NOTIFY announced, and shows clients and proxies that the connection is alive. */
  function beat(): void {
    lookFor()
    for (const { out } of all) if (out.writable && !out.writableNeedDrain) out.write(':\n\n')
  }

  /** Sends the reason and closes: at once for clients that read, else after a few seconds. */
  function end(reader: Reader, reason: string): void {
    if (!reader.out.writable) return
    reader.feed.readers.delete(reader)
    reader.out.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`)
    setTimeout(() => reader.out.destroy(), lastWordsMs).unref()
  }

  return { open, lookFor, beat, readers: () => all.size }
}

function reasonOf(error: unknown): string {
  const code = error instanceof OrdersError ? error.code : undefined
  if (code === 'SHUTTING_DOWN') return 'the server is going down'
  return code === 'DATABASE_UNAVAILABLE' ? 'the database does not answer' : 'you may no longer listen'
}
