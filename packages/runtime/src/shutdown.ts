// A parent would have killed a program that takes 4 s; without it nobody does.
const orphanDeadlineMs = 3000

type Reason = 'SIGTERM' | 'SIGINT' | 'disconnect'

/**
 * Calls `close` once, on the first SIGTERM, SIGINT or the end of the parent that holds this process's IPC channel, and
 * exits 0 after it. Exits 1 if it fails or takes longer than `deadlineMs`, or than 3 s where the parent is gone. Further
 * signals shorten nothing: an orchestrator that repeats SIGTERM must not cut requests off. Call it before anything slow,
 * since a signal that comes earlier ends the process outright. `close` may be called at once: when the parent has ended
 * already. Whoever reads the output of this process may end before it, and hinders nothing then.
 */
export function onShutdown(
  close: (reason: Reason) => Promise<void>,
  { deadlineMs = 25_000, onFailure }: { deadlineMs?: number; onFailure: (error: Error) => void },
): void {
  for (const output of [process.stdout, process.stderr]) output.on('error', () => {})
  let closing = false
  const shutdown = (reason: Reason) => {
    if (closing) return
    closing = true
    const fail = (error: Error) => {
      onFailure(error)
      process.exit(1)
    }
    const limit = reason === 'disconnect' ? Math.min(deadlineMs, orphanDeadlineMs) : deadlineMs
    setTimeout(() => fail(new Error(`not closed after ${limit} ms`)), limit).unref()
    close(reason).then(() => process.exit(0), fail)
  }
  process.on('SIGTERM', shutdown)
  process.on('SIGINT', shutdown)
  if (process.channel) process.once('disconnect', () => shutdown('disconnect'))
  // The parent may end while the modules of this process are still read, when nobody hears of it.
  else if (process.connected === false) shutdown('disconnect')
}
