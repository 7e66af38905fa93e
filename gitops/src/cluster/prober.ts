import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'

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

async function get(url: URL, ca?: string, headers: Record<string, string> = {}): Promise<string | undefined> {
  const signal = AbortSignal.timeout(5000)
  const secure = url.protocol === 'https:'
  const asking = secure
    ? httpsRequest(url, { ...(ca === undefined ? {} : { ca }), headers, agent: false, signal })
    : httpRequest(url, { headers, agent: false, signal })
  asking.end()
  const [answer] = await once(asking, 'response')
  answer.resume()
  await once(answer, 'end')
  return answer.statusCode >= 200 && answer.statusCode < 300 ? undefined : `status ${answer.statusCode}`
}
