/**
 * Clients that send one expensive read after the other until they are stopped. They run in a thread of their own, so that
 * their work does not count as a delay of the service.
 */
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { keepAlive, send } from './http.ts'

type Attack = {
  url: string
  authorization: string
  kind: keyof typeof paths
  clients: number
  /** Of statistics, in milliseconds since 1970. */
  range: { from: number; to: number }
}

const paths = {
  // Each request asks for another range or text, because equal ones share a read.
  statistics: ({ range: { from, to } }: Attack) => {
    const first = new Date(from + Math.random() * 1000).toISOString()
    return `/api/v1/orders/stats?from=${first}&to=${new Date(to).toISOString()}`
  },
  searches: () => `/api/v1/orders?q=nothing-${Math.random()}`,
}

/** Resolves after the first answer with 200. `stop` returns how many answers had each status. */
export async function startAttack(attack: Attack): Promise<{ stop: () => Promise<Record<string, number>> }> {
  const thread = new Worker(new URL(import.meta.url), { workerData: attack })
  await once(thread, 'message')
  return {
    async stop() {
      const ended = once(thread, 'message')
      thread.postMessage('stop')
      const [statuses] = await ended
      return statuses
    },
  }
}

async function run(attack: Attack, port: NonNullable<typeof parentPort>): Promise<void> {
  const statuses: Record<string, number> = {}
  const agent = keepAlive()
  let running = true
  port.once('message', () => {
    running = false
  })
  const work = Array.from({ length: attack.clients }, async () => {
    while (running) {
      const options = { headers: { authorization: attack.authorization }, agent, timeoutMs: 60_000 }
      const path = paths[attack.kind](attack)
      const status = await send(`${attack.url}${path}`, options).then(({ status }) => status, String)
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status === 200 && statuses[200] === 1) port.postMessage('begun')
      if (status !== 200) await delay(100)
    }
  })
  await Promise.all(work)
  agent.destroy()
  port.postMessage(statuses)
}

if (!isMainThread && parentPort) await run(workerData as Attack, parentPort)
