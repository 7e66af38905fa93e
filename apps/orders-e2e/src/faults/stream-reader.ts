import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'

export interface StreamReader {
  /** Position of the last event that was received. */
  position(): number
  gaps(): number
  repeats(): number
  reconnects(): number
  close(): void
}

/**
 * Listens to the stream of orders at one of several addresses, and at the next one when that ends, from where it was.
 * Counts what is missing between the positions that it is told, and what it is told twice. `resume: false` begins anew
 * each time, as a client without Last-Event-ID.
 */
export function readStream(addresses: string[], { resume = true } = {}): StreamReader {
  let closed = false
  let turn = 0
  let position = 0
  let [gaps, repeats, connections] = [0, 0, 0]
  let current: ReturnType<typeof get> | undefined

  function take(id: number) {
    if (id <= position) repeats++
    else gaps += id - position - 1
    position = Math.max(position, id)
  }

  function listen(address: string): Promise<void> {
    return new Promise((resolve) => {
      const headers = resume || connections === 0 ? { 'last-event-id': String(position) } : {}
      current = get(`${address}/orders/stream`, { headers, agent: false }, (answer) => {
        if (answer.statusCode === 200) connections++
        let rest = ''
        let id = 0 // a chunk may end between the id of an event and its data
        answer.setEncoding('latin1').on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) {
            if (line.startsWith('id: ')) id = Number(line.slice(4))
            else if (line.startsWith('data: {"id"')) take(id)
          }
        })
        answer.on('close', resolve)
      })
      current.on('error', () => resolve())
    })
  }

  async function keepListening(): Promise<void> {
    while (!closed) {
      await listen(addresses[turn++ % addresses.length] as string)
      if (!closed) await delay(50 + Math.random() * 200)
    }
  }

  keepListening().catch(close)

  function close() {
    closed = true
    current?.destroy()
  }

  return {
    position: () => position,
    gaps: () => gaps,
    repeats: () => repeats,
    reconnects: () => connections - 1,
    close,
  }
}
