import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { text } from 'node:stream/consumers'

export type Probed = { requests: number; failures: string[] }
export type Prober = {
  /** What has failed so far. */
  failures: string[]
  stop: () => Promise<Probed>
}

type ProbeOptions = { perSecond?: number; ca?: string; headers?: Record<string, string> }

/**
 * Requests `url` at a fixed rate until it is stopped, each time on a new connection, as many independent clients would. A
 * request that takes longer than 5 s, or whose status is not 2xx, is a failure.
 */
export function probe(url: URL, options: ProbeOptions = {}): Prober {
  const { perSecond = 20, ca, headers } = options
  const failures: string[] = []
  const open = new Set<Promise<void>>()
  let requests = 0
  const timer = setInterval(() => {
    requests += 1
    const at = new Date().toISOString().slice(11, 23)
    const asking = get(url, ca, headers)
      .catch((error: Error) => error.message)
      .then((failure) => {
        if (failure !== undefined) failures.push(`${at} ${failure}`)
        open.delete(asking)
      })
    open.add(asking)
  }, 1000 / perSecond)
  return {
    failures,
    stop: async () => {
      clearInterval(timer)
      await Promise.all(open)
      return { requests, failures }
    },
  }
}

/** Returns how many requests there were. Throws an Error that states how many failed, and the first and the last of them. */
export function assertNoneFailed({ requests, failures }: Probed): number {
  if (failures.length === 0) return requests
  throw new Error(`${failures.length} of ${requests} requests failed, from ${failures[0]} to ${failures.at(-1)}.`)
}

async function get(url: URL, ca?: string, headers: Record<string, string> = {}): Promise<string | undefined> {
  const signal = AbortSignal.timeout(5000)
  const secure = url.protocol === 'https:'
  const asking = secure
    ? httpsRequest(url, { ...(ca === undefined ? {} : { ca }), headers, agent: false, signal })
    : httpRequest(url, { headers, agent: false, signal })
  asking.end()
  const [answer] = await once(asking, 'response')
  const body = await text(answer)
  return answer.statusCode >= 200 && answer.statusCode < 300 ? undefined : `status ${answer.statusCode} ${body}`
}
