import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { keepAlive, send } from './http.ts'

const pollMs = 200

export interface ReadinessProxy {
  url: string
  /** Resolves once the backend is, or is not, among those that get requests. */
  until(backend: string, ready: boolean): Promise<void>
  /** From now on no change of a backend reaches the proxy, as news of a restart can reach a cluster's Service late. */
  hearNothing(): void
  close(): Promise<void>
}

/**
 * Shares requests among the backends whose /readyz says yes, asked every 200 ms as a cluster's Service is told. It keeps
 * connections to them and retries nothing, so a client sees every request that a restart loses: as 502.
 */
export async function startReadinessProxy(backends: string[]): Promise<ReadinessProxy> {
  const ready = new Set<string>()
  const agents = new Map(backends.map((backend) => [backend, keepAlive()]))
  let open = true
  let hears = true
  let turn = 0

  async function poll(backend: string) {
    while (open) {
      const answer = await send(`${backend}/readyz`, { timeoutMs: 2000 }).catch(() => undefined)
      if (!hears) return
      if (answer?.status === 200) ready.add(backend)
      else ready.delete(backend)
      await delay(pollMs)
    }
  }

  function forward(incoming: IncomingMessage, outgoing: ServerResponse) {
    const candidates = [...ready]
    const backend = candidates[turn++ % candidates.length]
    const fail = (error: Error) => {
      if (outgoing.headersSent) outgoing.destroy()
      else outgoing.writeHead(502, { 'content-type': 'text/plain' }).end(`${backend}: ${error.message}`)
    }
    if (!backend) return fail(new Error('no backend is ready'))
    const { method, headers, url } = incoming
    const inner = request(`${backend}${url}`, { method, headers, agent: agents.get(backend) }, (answer) => {
      const { connection: _, ...rest } = answer.headers // belongs to the connection to the backend
      outgoing.writeHead(answer.statusCode ?? 502, rest)
      answer.on('error', fail).pipe(outgoing)
    })
    inner.on('error', fail)
    incoming.pipe(inner)
  }

  const server = createServer({ keepAliveTimeout: 72_000 }, forward)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const polls = backends.map(poll)
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    until: async (backend, wanted) => {
      while (ready.has(backend) !== wanted) await delay(20)
    },
    hearNothing: () => {
      hears = false
    },
    close: async () => {
      open = false
      server.close()
      server.closeAllConnections()
      for (const agent of agents.values()) agent.destroy()
      await Promise.all(polls)
    },
  }
}
