import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { newGuestKeys, signIn } from '../src/faults/guests.ts'
import { send } from '../src/faults/http.ts'
import { serve, startWorker } from '../src/faults/service-process.ts'

/** What the image runs with, and what its container may use. */
const NODE_OPTIONS = '--max-old-space-size=256 --max-semi-space-size=16'
const memoryLimitMiB = 384
const largeOrders = 220
const sockets = 400
/** Longer than a response that nobody reads is kept. */
const holdMs = 15_000
const unbounded = join(import.meta.dirname, '../src/faults/without-bounds.ts')
const metadata = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 'ü'.repeat(500)]))
t.setTimeout(280_000)

/** The most memory that a process has had resident, in mebibytes. */
const peakMemory = (pid: number) =>
  Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

/** Sends requests on connections of which nothing is read. */
function openSilent(t: Test, url: string, requests: string[]): Socket[] {
  const { port, hostname } = new URL(url)
  return requests.map((request) => {
    const socket = connect(Number(port), hostname).pause()
    socket.on('error', () => {})
    socket.write(request)
    t.teardown(async () => void socket.destroy())
    return socket
  })
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  for (const giveUpAt = Date.now() + 60_000; !(await condition()); await delay(50))
    if (Date.now() > giveUpAt) throw new Error(`not within 60 s: ${condition}`)
}

type Outcome = { peakMiB: number; failure: string | undefined; authorization: string; url: string }

/** Opens 400 connections that never read, and returns the peak memory of a server with these options of Node.js. */
async function attack(t: Test, options: string): Promise<Outcome> {
  const { url: DATABASE_URL } = await createScratchDatabase(t)
  const settings = {
    DATABASE_URL,
    GUEST_KEYS: newGuestKeys(),
    RATE_LIMITS: 'off',
    AUTH_MODE: 'open',
    NODE_OPTIONS: options,
  }
  const service = await serve(t, settings)
  const worker = startWorker({ DATABASE_URL })
  t.teardown(async () => {
    worker.kill('SIGKILL')
    await worker.exited
  })
  const { authorization } = await signIn(service.url)
  const place = (n: number) =>
    send(`${service.url}/api/v1/orders`, {
      method: 'POST',
      headers: { authorization },
      body: { id: `large-${n}`, amount: 1, metadata },
    })
  for (let n = 0; n < largeOrders; n++) if ((await place(n)).status !== 201) throw new Error('an order was not placed')
  const isLogged = async () => {
    const answer = await send(`${service.url}/api/v1/orders/stream`, {
      headers: { authorization, 'last-event-id': String(largeOrders) },
      timeoutMs: 500,
    }).catch((error: Error) => error)
    return answer instanceof Error // a stream began: the position is there
  }
  await until(isLogged)
  t.comment(`${Math.round(peakMemory(service.pid))} MiB at most before`)

  const head = `HTTP/1.1\r\nHost: ${new URL(service.url).host}\r\nAuthorization: ${authorization}\r\n`
  const requests = Array.from({ length: sockets }, (_, i) =>
    i % 2
      ? `GET /api/v1/orders/stream ${head}Last-Event-ID: 0\r\n\r\n`
      : `GET /api/v1/orders?limit=${200 - (i % 150)} ${head}\r\n`.repeat(8),
  )
  openSilent(t, service.url, requests)
  const [began, slowest] = [performance.now(), [] as number[]]
  const outcome = (peakMiB: number, failure?: string) => ({ peakMiB, failure, authorization, url: service.url })
  let peakMiB = 0
  while (performance.now() - began < holdMs) {
    const sent = performance.now()
    const alive = await send(`${service.url}/livez`, { timeoutMs: 60_000 }).catch((error: Error) => error)
    slowest.push(performance.now() - sent)
    // A process that has ended has no memory left to read.
    if (alive instanceof Error || alive.status !== 200)
      return outcome(peakMiB, `the process does not answer: ${service.output.stderr}`)
    peakMiB = peakMemory(service.pid)
    await delay(100)
  }
  peakMiB = peakMemory(service.pid)
  t.comment(`${Math.round(peakMiB)} MiB at most, /livez took at most ${Math.round(Math.max(...slowest))} ms`)
  return outcome(peakMiB)
}

t.test('400 clients that do not read leave the process within its memory', async (t) => {
  const { peakMiB, failure, authorization, url } = await attack(t, NODE_OPTIONS)
  t.equal(failure, undefined)
  t.ok(peakMiB < memoryLimitMiB, `${Math.round(peakMiB)} MiB at most`)
  await until(async () => (await send(`${url}/api/v1/orders?limit=1`, { headers: { authorization } })).status === 200)
})

t.test('control: a service without backpressure exceeds the memory limit', async (t) => {
  const { peakMiB, failure } = await attack(t, `${NODE_OPTIONS} --import=${unbounded}`)
  t.comment(`${Math.round(peakMiB)} MiB; ${failure ?? 'it still answers'}`)
  t.ok(peakMiB > memoryLimitMiB || /out of memory/.test(failure ?? ''))
})
