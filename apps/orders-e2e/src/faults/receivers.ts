import { fork } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from './service-process.ts'

/**
 * well: all answer at once. badly: /fails answers 500, and /slow after 2 s. in turn: as badly, but each message waits
 * until those before it were answered, as if a slow receiver delayed the others.
 */
export type Behaviour = 'well' | 'badly' | 'in turn'
type Asked = { behaviour: Behaviour; wanted: number }

/** Receivers of webhooks in a process of their own, by path of `url`: what they take must not slow what is measured. */
export async function startReceivers(t: Test) {
  const child = fork(import.meta.filename)
  t.teardown(async () => void child.kill('SIGKILL'))
  const [url] = (await once(child, 'message')) as [string]
  /** Milliseconds from the event to the arrival of the next so many messages, those to /fails and /slow left out. */
  async function delaysOf(asked: Asked): Promise<number[]> {
    child.send(asked)
    return (await once(child, 'message'))[0]
  }
  return { url, delaysOf }
}

async function receive(): Promise<void> {
  let asked: Asked = { behaviour: 'well', wanted: 0 }
  let delays: number[] = []
  let before = Promise.resolve()

  const server = http.createServer(async (request, response) => {
    const { time } = JSON.parse(await text(request))
    const isSlow = asked.behaviour !== 'well' && request.url === '/slow'
    const answered = asked.behaviour === 'in turn' ? before.then(() => take()) : take()
    before = answered

    async function take(): Promise<void> {
      if (request.url !== '/fails' && request.url !== '/slow')
        delays.push(performance.timeOrigin + performance.now() - Date.parse(time))
      if (isSlow) await delay(2000)
      response.writeHead(asked.behaviour !== 'well' && request.url === '/fails' ? 500 : 200).end()
      if (delays.length !== asked.wanted) return
      process.send?.(delays)
      delays = []
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  process.on('message', (message: Asked) => {
    asked = message
  })
  process.on('disconnect', () => process.exit())
  process.send?.(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
}

if (import.meta.filename === process.argv[1]) await receive()
