import { PassThrough } from 'node:stream'
import { listen } from '@orders/database'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    orderStream: ReturnType<typeof createOrderStream>
  }
}

type Options = {
  databaseUrl: string
  /** Milliseconds in which a reader has to take what waits for it. */
  patienceMs?: number | undefined
}

/** Events of orders as they happen: one reader of the log an organisation, however many listen. */
async function orderStream(app: FastifyInstance, { databaseUrl, patienceMs = 20_000 }: Options) {
  const stream = createOrderStream(app, patienceMs)
  app.decorate('orderStream', stream)
  let news: ReturnType<typeof listen> | undefined
  app.addHook('onReady', async () => {
    news = listen(databaseUrl, 'events', stream.lookFor, () => stream.lookFor())
  })
  // What a NOTIFY did not tell is found, and clients and proxies see that the connection is there.
  const beat = setInterval(() => stream.beat(), beatMs).unref()
  // Before Fastify waits for the answers to end, which these would never do by themselves.
  app.addHook('preClose', async () => {
    clearInterval(beat)
    stream.endAll('the server is going down')
    await news?.close()
  })
}

export default fp(orderStream, { name: 'order-stream', dependencies: ['orders', 'access', 'metrics'] })

const beatMs = 10_000
const batch = 200
const maxReaders = 1500
/** Bytes that may wait for a reader; one with more is told the rest at its own pace. */
const maxBehind = 64 * 1024
const lastWordsMs = 5000

type Reader = { request: FastifyRequest; out: PassThrough; position: number; feed: Feed }
/** Where an organisation's readers stand that have caught up. */
type Feed = { position: number; readers: Set<Reader>; reading: Promise<void> | undefined; again: boolean }

function createOrderStream({ orders, log, meters }: FastifyInstance, patienceMs: number) {
  const feeds = new Map<string, Promise<Feed>>()
  const all = new Set<Reader>()

  /**
   * Gives the events of the request's organisation after a position, or from now on, as text/event-stream; the id of
   * each is its position. Throws STREAM_POSITION_GONE, OVERLOADED.
   */
  async function open(request: FastifyRequest, after: number | undefined): Promise<PassThrough> {
    if (all.size >= maxReaders) throw new OrdersError('OVERLOADED', `${maxReaders} are listening to this server.`)
    const { orgId } = request
    if (after !== undefined) await orders.assertReadable(orgId, after)
    const feed = await feedOf(orgId)
    const reader: Reader = { request, out: new PassThrough(), position: after ?? feed.position, feed }
    all.add(reader)
    reader.out.once('close', () => leave(reader))
    reader.out.write(`retry: 2000\nid: ${reader.position}\nevent: begin\ndata: {"position":${reader.position}}\n\n`)
    follow(reader)
    return reader.out
  }

  function feedOf(orgId: string): Promise<Feed> {
    const known = feeds.get(orgId)
    if (known) return known
    const made = orders
      .newestPosition(orgId)
      .then((position): Feed => ({ position, readers: new Set(), reading: undefined, again: false }))
    made.catch(() => feeds.delete(orgId))
    feeds.set(orgId, made)
    return made
  }

  /** Tells what the reader has missed, at its own pace, until it is where the others are. */
  async function catchUp(reader: Reader): Promise<void> {
    const { out, request, feed } = reader
    while (out.writable) {
      if (out.writableNeedDrain && !(await drained(out, patienceMs))) return cut(reader)
      if (reader.position === feed.position) {
        feed.readers.add(reader)
        return
      }
      const missed = await orders.readLog(request.orgId, reader.position, batch)
      for (const logged of missed) {
        out.write(textOf(logged))
        reader.position = logged.position
      }
    }
  }

  function follow(reader: Reader): void {
    catchUp(reader).catch((error) => {
      log.warn({ err: error, reqId: reader.request.id }, 'a stream could not be read')
      end(reader, 'the database does not answer')
    })
  }

  /** There may be new events of the organisation, or of any. */
  function lookFor(orgId?: string): void {
    for (const id of orgId ? [orgId] : feeds.keys()) {
      // If the feed cannot be made, the request that asked for it fails, and nobody else waits for it.
      feeds.get(id)?.then(
        (feed) => advance(id, feed),
        () => {},
      )
    }
  }

  function advance(orgId: string, feed: Feed): void {
    feed.again = true
    feed.reading ??= tellNews(orgId, feed)
      .catch((error) => log.warn({ err: error }, 'the log of events could not be read'))
      .finally(() => {
        feed.reading = undefined
      })
  }

  async function tellNews(orgId: string, feed: Feed): Promise<void> {
    while (feed.again) {
      feed.again = false
      const news = await orders.readLog(orgId, feed.position, batch)
      for (const logged of news) {
        const text = textOf(logged)
        feed.position = logged.position
        for (const reader of feed.readers) tell(reader, text, logged.position)
      }
      if (news.length === batch) feed.again = true
    }
  }

  function tell(reader: Reader, text: Buffer, position: number): void {
    reader.position = position
    reader.out.write(text)
    if (reader.out.writableLength <= maxBehind) return
    reader.feed.readers.delete(reader)
    follow(reader)
  }

  function cut(reader: Reader): void {
    meters.onStreamCut()
    end(reader, 'you read too slowly')
  }

  function beat(): void {
    lookFor()
    for (const reader of all) {
      reader.out.write(':\n\n')
      reader.request.recheck?.().catch((error) => {
        if (error instanceof OrdersError && error.code !== 'ISSUER_UNAVAILABLE') end(reader, 'you may no longer listen')
      })
    }
  }

  /** Says why, and closes: at once for those who read, and else after a few seconds. */
  function end(reader: Reader, reason: string): void {
    if (!reader.out.writable) return
    reader.feed.readers.delete(reader)
    reader.out.end(`event: end\ndata: ${JSON.stringify({ reason })}\n\n`)
    setTimeout(() => reader.out.destroy(), lastWordsMs).unref()
  }

  function leave(reader: Reader): void {
    all.delete(reader)
    reader.feed.readers.delete(reader)
    const { orgId } = reader.request
    if (![...all].some(({ request }) => request.orgId === orgId)) feeds.delete(orgId)
  }

  return {
    open,
    lookFor,
    beat,
    endAll: (reason: string) => {
      for (const reader of all) end(reader, reason)
    },
    readers: () => all.size,
  }
}

type Logged = { position: number; event: { type: string } }

/** Made once for all readers. */
const textOf = ({ position, event }: Logged) =>
  Buffer.from(`id: ${position}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)

/** Whether a reader has taken what waits for it in time. */
function drained(out: PassThrough, patienceMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(done, patienceMs, false)
    const onDrain = () => done(true)
    const onClose = () => done(false)
    function done(inTime: boolean) {
      clearTimeout(late)
      out.off('drain', onDrain).off('close', onClose)
      resolve(inTime)
    }
    out.on('drain', onDrain).on('close', onClose)
  })
}
