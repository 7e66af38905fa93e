import { setTimeout as delay } from 'node:timers/promises'
import { newOrganisation } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { type Received, startReceivers, startWebhooks, startWorking, type Worker } from '../test/receivers.ts'
import { until } from '../test/service.ts'

/** Milliseconds from the event's time to its arrival, for each message to a healthy receiver. */
const delaysOf = (received: Received[], isHealthy: (path: string) => boolean) =>
  received.filter(({ path }) => isHealthy(path)).map(({ at, body }) => at - Date.parse(String(body.time)))

const percentile = (values: number[], part: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] as number

/** 50 receivers in 5 organisations, and a worker for them; with `trouble`, one of them always fails and one is slow. */
async function startSide(t: Test, trouble: boolean, hold: (worker: Worker) => Worker) {
  const { received, reactions, url } = await startReceivers(t)
  const service = await startWebhooks(t)
  const { admin, another, newWebhook, placeIn } = service
  const orgs = [service.org]
  for (let i = 1; i < 5; i++) orgs.push(await newOrganisation(service.url))
  for (const [i, org] of orgs.entries()) {
    for (let j = 0; j < 10; j++) await newWebhook(url(`/${i}-${j}`), {}, org)
  }
  if (trouble) reactions.set('/0-0', { status: 500 }).set('/1-0', { afterMs: 2000 })
  const news = { wake: () => {} }
  const worker = hold(another({ onRoom: () => news.wake() }))
  const isHealthy = (path: string) => path !== '/0-0' && path !== '/1-0'
  return {
    start: () => {
      received.length = 0
      return startWorking(worker, news)
    },
    place: (org: number, id: string) => placeIn(orgs[org] as string, id),
    arrived: () => received.filter(({ path }) => isHealthy(path)).length,
    /** What the healthy ones waited; the next round finds nothing left of this one. */
    async end(stop: () => Promise<void>) {
      await stop()
      await worker.idle()
      await admin.query("DELETE FROM webhook_deliveries WHERE state = 'pending'")
      await admin.query('UPDATE webhooks SET first_failure_at = NULL')
      return delaysOf(received, isHealthy)
    },
  }
}

/**
 * The same traffic on two sides at the same time, one with a failing and a slow receiver: what else runs on the machine
 * meets both alike.
 */
async function measure(t: Test, rounds: number, hold: (worker: Worker) => Worker = (worker) => worker) {
  const sides = [await startSide(t, false, hold), await startSide(t, true, hold)] as const
  const delays: [number[], number[]] = [[], []]
  const events = 6
  for (let round = -1; round < rounds; round++) {
    const stops = sides.map(({ start }) => start())
    for (let event = 0; event < events; event++) {
      for (let org = 0; org < 5; org++) {
        const inTurn = (event + org) % 2 === 0 ? sides : sides.toReversed()
        await Promise.all(inTurn.map(({ place }) => place(org, `r${round}-${event}`)))
        await delay(60)
      }
    }
    await until(() => sides.every(({ arrived }) => arrived() >= events * 48))
    const waited = await Promise.all(sides.map(({ end }, i) => end(stops[i] as () => Promise<void>)))
    if (round >= 0) for (const i of [0, 1] as const) delays[i].push(...(waited[i] as number[]))
  }
  const [without, beside] = delays.map((waited) => percentile(waited, 0.99)) as [number, number]
  const medians = delays.map((waited) => percentile(waited, 0.5).toFixed(1))
  t.comment(
    `ms without / beside a failing and a slow one, over ${delays[1].length} messages each: p50 ${medians.join(' / ')}, p99 ${without.toFixed(1)} / ${beside.toFixed(1)}`,
  )
  return { without, beside, growth: beside / without }
}

t.test('one that fails and one that is slow delay nobody else', { timeout: 300_000 }, async (t) => {
  const { growth } = await measure(t, 20)
  t.ok(growth <= 1.1, `${growth.toFixed(3)} times as long beside them`)
})

t.test('control: a worker that waits for each batch to end is caught', async (t) => {
  const { without, beside } = await measure(t, 1, (worker) => ({
    ...worker,
    deliver: async () => {
      const started = await worker.deliver()
      await worker.idle()
      return started
    },
  }))
  t.ok(beside > 2 * without, `${beside} ms beside them, ${without} ms without`)
})
