import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** A loopback port that is free now. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  if (address === null || typeof address === 'string') throw new Error('There is no free port.')
  return address.port
}

/** Waits until a service answers 200, and answers how many milliseconds that took. */
export async function untilReady(url: string, limitMs = 60_000): Promise<number> {
  const started = performance.now()
  while (performance.now() - started < limitMs) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    )
    if (status === 200) return Math.round(performance.now() - started)
    await delay(20)
  }
  throw new Error(`${url} did not answer 200 in ${limitMs / 1000} s.`)
}
