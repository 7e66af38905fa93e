import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { place } from '../src/faults/http.ts'
import { startService, startWorker } from '../src/faults/service-process.ts'
import { readStream, type StreamReader } from '../src/faults/stream-reader.ts'
import { supervise } from '../src/faults/supervisor.ts'

const readers = 1000
/** All readers belong to one organisation here, and a server may have to serve all of them. */
const CONCURRENCY_LIMITS = 'org-streams=1500'
/** As gitops/apps/orders/base/deployment.yaml sets it: without a limit, V8 puts off collecting. */
const NODE_OPTIONS = '--max-old-space-size=256 --max-semi-space-size=16'
const settings = { CONCURRENCY_LIMITS, NODE_OPTIONS }
const kills = 6
const ordersBetweenKills = 40
t.setTimeout(300_000)

/** Resident memory of a process, in megabytes. */
const memoryOf = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

async function allAt(all: StreamReader[], position: number): Promise<void> {
  for (const giveUpAt = Date.now() + 60_000; !all.every((reader) => reader.position() >= position); await delay(50))
    if (Date.now() > giveUpAt) throw new Error(`not all are at ${position} within 60 s`)
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)

async function startPair(t: Test, url: string) {
  const ports = await Promise.all(
    [0, 1].map(async () => {
      const first = startService({ DATABASE_URL: url, ...settings })
      const { port } = new URL(await first.ready())
      first.kill('SIGKILL')
      await first.exited
      return port
    }),
  )
  const addresses = ports.map((PORT) => `http://127.0.0.1:${PORT}`)
  const pids: number[] = []
  const supervisors = await Promise.all(
    ports.map((PORT, i) =>
      supervise(() => {
        const service = startService({ DATABASE_URL: url, PORT, ...settings })
        pids[i] = service.pid
        return service
      }),
    ),
  )
  for (const { stop } of supervisors) t.teardown(stop)
  const worker = startWorker({ DATABASE_URL: url })
  t.teardown(async () => {
    worker.kill('SIGKILL')
    await worker.exited
  })
  return { addresses, supervisors, pids }
}

t.test('a thousand clients hear every event once while the servers are killed', async (t) => {
  const { url } = await createScratchDatabase(t)
  const { addresses, supervisors, pids } = await startPair(t, url)
  const all = Array.from({ length: readers }, () => readStream(addresses))
  t.teardown(async () => {
    for (const reader of all) reader.close()
  })
  let placed = 0
  const placeSome = async () => {
    for (let i = 0; i < ordersBetweenKills; i++) {
      const key = `stream-key-${String(placed).padStart(8, '0')}`
      for (;;) {
        const answer = await place(addresses[placed % 2] as string, key, { amount: 1 }).catch(() => undefined)
        if (answer?.status === 201) break
        await delay(50)
      }
      placed++
    }
  }
  await placeSome()
  // Each order is placed, and confirmed by the worker.
  await allAt(all, 2 * placed)
  const before = memoryOf(pids[0] as number)
  for (let kill = 0; kill < kills; kill++) {
    await Promise.all([placeSome(), supervisors[kill % 2]?.kill()])
  }
  await allAt(all, 2 * placed)
  t.comment(
    `${readers} clients, ${2 * placed} events, ${kills} kills, ${sum(all.map((it) => it.reconnects()))} reconnects`,
  )
  t.comment(
    `memory of a server: ${Math.round(before)} MB before the kills, ${Math.round(memoryOf(pids[0] as number))} MB after`,
  )
  t.ok(sum(all.map((it) => it.reconnects())) > readers, 'the kills hit the clients')
  t.equal(sum(all.map((it) => it.gaps())), 0, 'nothing is missing')
  t.equal(sum(all.map((it) => it.repeats())), 0, 'nothing comes twice')
  t.ok(memoryOf(pids[0] as number) < 384, 'within what a pod may use')
})

t.test('control: clients that do not say where they were miss something', async (t) => {
  const { url } = await createScratchDatabase(t)
  const { addresses, supervisors } = await startPair(t, url)
  const all = Array.from({ length: 20 }, () => readStream(addresses, { resume: false }))
  t.teardown(async () => {
    for (const reader of all) reader.close()
  })
  const missing = () => sum(all.map((it) => it.gaps()))
  let ended = false
  const placing = (async () => {
    for (let i = 0; !ended; i++) {
      const address = addresses[i % 2] as string
      await place(address, `control-key-${String(i).padStart(8, '0')}`, { amount: 1 }).catch(() => {})
    }
  })()
  for (let kill = 0; missing() === 0 && kill < 20; kill++) await supervisors[kill % 2]?.kill()
  ended = true
  await placing
  t.ok(missing() > 0, `${missing()} missing`)
})
