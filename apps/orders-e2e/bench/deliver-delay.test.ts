import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { type Behaviour, startReceivers } from '../src/faults/receivers.ts'
import { serve, startWorker } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

const guestKeys = join(import.meta.dirname, '../../orders-api/src/guest-keys.ts')
const orgs = 5
const webhooks = 10
const ordersEach = 8
const pauseMs = 50
const mostGrowth = 1.1
const pairs = 60

type System = Awaited<ReturnType<typeof start>>

/** An API, a worker and 50 receivers in 5 organisations, two of which may behave badly. */
async function start(t: Test) {
  const { url: database } = await createScratchDatabase(t)
  const settings = { DATABASE_URL: database, WEBHOOKS_ALLOW_LOOPBACK: 'true' }
  const GUEST_KEYS = execFileSync(process.execPath, [guestKeys], { encoding: 'utf8' })
  const { url } = await serve(t, { ...settings, GUEST_KEYS, RATE_LIMITS: 'off' })
  const worker = startWorker(settings)
  t.teardown(async () => worker.kill('SIGKILL'))
  const receivers = await startReceivers(t)
  const admin = await connect(t, database)
  const send = async (path: string, token: string, body: object) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    const answer = await fetch(`${url}/api/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
    return answer.json()
  }
  const tokens: string[] = []
  for (let org = 0; org < orgs; org++) {
    const { access_token } = await send('/auth/guest', '', {})
    tokens.push(access_token)
    for (let i = 0; i < webhooks; i++) {
      const path = i > 0 || org > 1 ? `${org}-${i}` : ['fails', 'slow'][org]
      const event_types = ['orders.order.placed.v1']
      await send('/webhooks', access_token, { url: `${receivers.url}/${path}`, event_types })
    }
  }

  /** The delays of one round's messages to those that behave well. */
  async function round(behaviour: Behaviour): Promise<number[]> {
    const delays = receivers.delaysOf({ behaviour, wanted: ordersEach * (orgs * webhooks - 2) })
    for (let i = 0; i < ordersEach; i++) {
      for (const token of tokens) {
        await send('/orders', token, { amount: 1 })
        await delay(pauseMs)
      }
    }
    const arrived = await delays
    // The next round finds nothing left of this one.
    await admin.query("DELETE FROM webhook_deliveries WHERE state = 'pending' AND leased_until IS NULL")
    const held = 'SELECT FROM webhook_deliveries WHERE leased_until IS NOT NULL'
    while ((await admin.query(held)).rowCount) await delay(20)
    await admin.query("DELETE FROM webhook_deliveries WHERE state = 'pending'")
    await admin.query('UPDATE webhooks SET first_failure_at = NULL')
    return arrived
  }

  await round('well') // nothing is warm yet
  return { round }
}

const percentile = (values: number[], part: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * part)] as number

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length

/** The p99 of each round: without, beside those that behave badly, beside, without, and so on. */
async function measure({ round }: System, badly: Behaviour, pairs: number) {
  const without: number[] = []
  const beside: number[] = []
  for (let i = 0; i < 2 * pairs; i++) {
    const isBeside = i % 4 === 1 || i % 4 === 2
    ;(isBeside ? beside : without).push(percentile(await round(isBeside ? badly : 'well'), 0.99))
  }
  return { without, beside, growth: mean(beside) / mean(without) }
}

// The p99 of a round is that of one or two of its 40 orders: there must be many rounds, and one verdict on all of them.
t.test('one that fails and one that is slow delay nobody else', { timeout: 800_000 }, async (t) => {
  const { without, beside, growth } = await measure(await start(t), 'badly', pairs)
  t.comment(`p99 of each round in ms, without: ${without.join(' ')}`)
  t.comment(`p99 of each round in ms, beside: ${beside.join(' ')}`)
  t.comment(`their mean: ${mean(without).toFixed(1)} without, ${mean(beside).toFixed(1)} beside`)
  t.ok(growth <= mostGrowth, `${growth.toFixed(2)} times as long beside them`)
})

t.test('control: messages that wait for those before them are caught', async (t) => {
  const { growth } = await measure(await start(t), 'in turn', 1)
  t.ok(growth > 2, `${growth.toFixed(0)} times as long`)
})
