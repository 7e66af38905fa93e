import type { ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'

/** Where the readers of an organisation are that have caught up. */
export type Feed = { position: number; readers: Set<Reader>; reading: Promise<void> | undefined; again: boolean }

/** A client that listens: `position` is that of the last event written to it. */
export type Reader = {
  orgId: string
  userId: string | undefined
  requestId: string
  out: PassThrough
  response: ServerResponse
  position: number
  feed: Feed
  /** Events that its next read asks for: about as many as its client takes at once. */
  batch: number
  /** Bytes of the event that found no room when it was last written. */
  refused: number
}

/** Little is buffered on each side: what a slow client has not read is read from the database again. */
export const createOut = () => new PassThrough({ writableHighWaterMark: 32_768, readableHighWaterMark: 16_384 })

/** Bytes that wait in this process for the client to read them. */
export const queuedFor = ({ out, response }: Pick<Reader, 'out' | 'response'>) =>
  out.writableLength + out.readableLength + response.writableLength

type Logged = { position: number; event: { type: string } }

/** An event in the format of text/event-stream. */
export const textOf = ({ position, event }: Logged) =>
  Buffer.from(`id: ${position}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)

/** Resolves to whether the stream drains within `timeoutMs`. */
export function drained(out: PassThrough, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const late = setTimeout(done, timeoutMs, false)
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
