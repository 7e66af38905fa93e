import type { ServerResponse } from 'node:http'

/** Bytes a second that a client must read, on average over a window, while data waits for it. */
export const minBytesPerSecond = 16_384

/** Bytes of a response that have not left this process. */
export const queuedBytes = (response: ServerResponse) => response.writableLength

/** Bytes of the response's connection that have left this process. */
const sentBytes = ({ socket }: ServerResponse) => (socket ? socket.bytesWritten - socket.writableLength : 0)

/** Reports whether a client read too little in the last whole window, of `windowMs` milliseconds, in which data waited. */
export function watchReadRate(response: ServerResponse, windowMs: number, now: () => number) {
  let began = now()
  let sent = sentBytes(response)
  const restart = () => {
    began = now()
    sent = sentBytes(response)
  }
  return {
    isTooSlow(): boolean {
      const elapsed = now() - began
      if (queuedBytes(response) > 0 && elapsed < windowMs) return false
      const tooSlow = queuedBytes(response) > 0 && sentBytes(response) - sent < (minBytesPerSecond * elapsed) / 1000
      restart()
      return tooSlow
    },
  }
}
