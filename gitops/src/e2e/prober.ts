import { setTimeout as delay } from 'node:timers/promises'

export type Prober = { stop: () => Promise<{ asked: number; failures: string[] }> }

/** Asks for `url` again and again, as somebody who depends on it would, until it is stopped. */
export function probe(url: URL, pauseMs = 250): Prober {
  const stopping = new AbortController()
  const failures: string[] = []
  let asked = 0
  async function ask() {
    while (!stopping.signal.aborted) {
      asked++
      try {
        const answer = await fetch(url, { signal: AbortSignal.timeout(5000), headers: { connection: 'close' } })
        await answer.arrayBuffer()
        if (!answer.ok) failures.push(`${answer.status}`)
      } catch (error) {
        failures.push((error as Error).message)
      }
      await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
  }
  const asking = ask()
  return {
    stop: async () => {
      stopping.abort()
      await asking
      return { asked, failures }
    },
  }
}
