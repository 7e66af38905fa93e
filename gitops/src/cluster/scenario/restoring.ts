/**
 * Runs `act`, and then `restore` in each case. An error of `act` is shown at once, because `restore` can take minutes, and is
 * thrown afterwards; an error of `restore` never hides it.
 */
export async function restoring<T>(act: () => Promise<T>, restore: () => Promise<void>): Promise<T> {
  const done = await act().then(
    (value) => ({ value }),
    (error: Error) => ({ error }),
  )
  if ('error' in done) console.log(`failed: ${done.error.message}\nrestoring what the step changed`)
  const left = await restore().then(
    () => undefined,
    (error: Error) => error,
  )
  if ('error' in done && left !== undefined) {
    throw new Error(`${done.error.message} Restoring failed too: ${left.message}`, { cause: done.error })
  }
  if ('error' in done) throw done.error
  if (left !== undefined) throw left
  return done.value
}
