// A parent would have killed a program that takes 4 s; without it nobody does.
const orphanDeadlineMs = 3000

export type ShutdownReason = 'SIGTERM' | 'SIGINT' | 'disconnect' | UnhandledError
/** How an error reached the process: as a rejected promise, or as an exception, that no code handled. */
export type UnhandledError = 'unhandledRejection' | 'uncaughtException'

type Options = {
  /** Milliseconds until the process exits 1 although it has not closed. */
  deadlineMs?: number
  /** Reports that closing failed, or took too long. */
  onFailure: (error: Error) => void
  /** Logs and counts each unhandled error, before the process closes. */
  onUnhandled: (error: unknown, kind: UnhandledError) => void
}

/**
 * Calls `close` once, on the first SIGTERM, SIGINT, unhandled error, or end of the parent that holds this process's IPC
 * channel. Exits 0 after it, and 1 after an unhandled error: the state of the process is unknown then, so it finishes its
 * requests and is replaced. Exits 1 if `close` fails or takes longer than `deadlineMs`, or than 3 s where the parent is
 * gone. Further signals shorten nothing: an orchestrator that repeats SIGTERM must not cut requests off. Call it before
 * anything slow, since a signal that comes earlier ends the process outright. `close` may be called at once: when the
 * parent has ended already. Whoever reads the output of this process may end before it, and hinders nothing then.
 */
export function onShutdown(
  close: (reason: ShutdownReason) => Promise<void>,
  { deadlineMs = 25_000, onFailure, onUnhandled }: Options,
): void {
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {})
  let closing = false
  let exitCode = 0
  const shutdown = (reason: ShutdownReason) => {
    if (closing) return
    closing = true
    const fail = (error: Error) => {
      onFailure(error)
      process.exit(1)
    }
    const limit = reason === 'disconnect' ? Math.min(deadlineMs, orphanDeadlineMs) : deadlineMs
    setTimeout(() => fail(new Error(`not closed after ${limit} ms`)), limit).unref()
    close(reason).then(() => process.exit(exitCode), fail)
  }
  const handle = (kind: UnhandledError) => (error: unknown) => {
    exitCode = 1
    onUnhandled(error, kind)
    shutdown(kind)
  }
  process.on('unhandledRejection', handle('unhandledRejection'))
  process.on('uncaughtException', handle('uncaughtException'))
  process.on('SIGTERM', shutdown)
  process.on('SIGINT', shutdown)
  if (process.channel) process.once('disconnect', () => shutdown('disconnect'))
  // The parent may end while the modules of this process are still read, when nobody hears of it.
  else if (process.connected === false) shutdown('disconnect')
}
