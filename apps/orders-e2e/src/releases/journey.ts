import { randomUUID } from 'node:crypto'
import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { place, send } from '../faults/http.ts'

type Event = { type: string; order_id: string }

/**
 * Places an order, waits until the worker has confirmed it, and reads both events from the stream. Returns the steps that
 * failed, one sentence each. `timeoutMs` bounds the wait for the confirmation and the events.
 */
export async function journey(url: string, { timeoutMs = 60_000 } = {}): Promise<string[]> {
  const id = randomUUID()
  const stream = await openStream(url)
  try {
    const placed = await place(url, id, { id, amount: 12.5, description: 'A journey', metadata: { step: 'one' } })
    if (placed.status !== 201) return [`places no order: ${placed.status} ${placed.body}`]
    const deadline = performance.now() + timeoutMs
    const confirmed = await isReached(deadline, async () => /"status":"confirmed"/.test((await read(url, id)).body))
    const expected = ['orders.order.placed.v1', 'orders.order.confirmed.v1']
    const typesOf = () => stream.events.filter((event) => event.order_id === id).map(({ type }) => type)
    const streamed = await isReached(deadline, async () => typesOf().length >= expected.length)
    return [
      ...(confirmed ? [] : ['confirms no order']),
      ...(streamed && typesOf().join() === expected.join() ? [] : [`streams ${typesOf().join(', ') || 'no event'}`]),
    ]
  } finally {
    stream.close()
  }
}

const read = (url: string, id: string) => send(`${url}/api/v1/orders/${id}`)

async function isReached(deadline: number, condition: () => Promise<boolean>): Promise<boolean> {
  while (!(await condition())) {
    if (performance.now() > deadline) return false
    await delay(50)
  }
  return true
}

/** Listens to events from now on. Rejects if the stream does not open. */
function openStream(url: string): Promise<{ events: Event[]; close(): void }> {
  const events: Event[] = []
  return new Promise((resolve, reject) => {
    const request = get(`${url}/api/v1/orders/stream`, { agent: false }, (response) => {
      let rest = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) if (line.startsWith('data: {"id"')) events.push(JSON.parse(line.slice(6)))
        resolve({ events, close: () => request.destroy() })
      })
      response.on('error', reject)
    })
    request.on('error', reject)
  })
}
