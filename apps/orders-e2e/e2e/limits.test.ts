import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { type Answer, keepAlive, send } from '../src/faults/http.ts'
import { startRedis } from '../src/faults/redis.ts'
import { type Service, serve } from '../src/faults/service-process.ts'

/** Requests that an address has a minute, without a token. */
const room = 20
/** The longest a request may take while Redis is dead or hangs: the 250 ms that one may wait for it, and a busy machine. */
const boundMs = 2000
t.setTimeout(120_000)

const agent = keepAlive(16)
t.teardown(() => agent.destroy())
let clients = 0
/** An address that no request came from. */
const newClient = () => `10.${clients >> 16}.${(clients >> 8) & 255}.${clients++ & 255}`

const redis = await startRedis(t)
const { url: DATABASE_URL } = await createScratchDatabase(t)
const guestKeys = join(import.meta.dirname, '../../orders-api/src/guest-keys.ts')
const settings = {
  DATABASE_URL,
  GUEST_KEYS: execFileSync(process.execPath, [guestKeys], { encoding: 'utf8' }),
  RATE_LIMITS: `anonymous=${room},writes=10`,
  REDIS_URL: redis.url,
  TRUSTED_PROXIES: '127.0.0.0/8',
  LOG_LEVEL: 'warn',
}
const [one, two] = [await serve(t, settings), await serve(t, settings)]
await isShared(true)

/** Waits until both processes say so. */
async function isShared(expected: boolean): Promise<void> {
  const line = new RegExp(`^orders_rate_limits_shared ${expected ? 1 : 0}$`, 'm')
  for (const { url } of [one, two]) {
    for (const giveUpAt = Date.now() + 10_000; !line.test((await send(`${url}/metrics`)).body); await delay(20))
      if (Date.now() > giveUpAt) throw new Error(`not ${line.source} within 10 s`)
  }
}

const look = (service: Service & { url: string }, client: string): Promise<Answer> =>
  send(`${service.url}/api/v1/orders`, { headers: { 'x-forwarded-for': client }, agent })

/** How many of `count` requests in turn to both processes, from one address, are taken. */
async function taken(count: number): Promise<number> {
  const client = newClient()
  let sum = 0
  for (let i = 0; i < count; i++) if ((await look(i % 2 ? one : two, client)).status === 200) sum++
  return sum
}

/** Sends requests to both processes until told to stop; each is answered 200 or 429. Tells the longest, in milliseconds. */
function startLooking() {
  const client = newClient()
  const found = { answered: 0, longest: 0, strange: [] as unknown[] }
  let stopped = false
  async function run(service: Service & { url: string }): Promise<void> {
    for (let i = 0; !stopped; i++) {
      const started = performance.now()
      const answer = await look(service, i % 2 ? client : newClient()).catch((error: Error) => error)
      found.longest = Math.max(found.longest, performance.now() - started)
      found.answered++
      if (answer instanceof Error || (answer.status !== 200 && answer.status !== 429)) found.strange.push(answer)
    }
  }
  const done = Promise.all([one, two, one, two].map(run))
  return async () => {
    stopped = true
    await done
    return found
  }
}

const warnings = ({ output }: Service) => output.stdout.match(/"Redis does not answer/g)?.length ?? 0

t.test('two processes share one budget', async (t) => {
  t.equal(await taken(room + 10), room)
  const signedIn = await send(`${one.url}/api/v1/auth/guest`, { method: 'POST' })
  const headers = { authorization: `Bearer ${JSON.parse(signedIn.body).access_token}` }
  const statuses = []
  for (let i = 0; i < 12; i++) {
    const { url } = i % 2 ? one : two
    statuses.push((await send(`${url}/api/v1/orders`, { method: 'POST', headers, body: { amount: 1 } })).status)
  }
  t.strictSame(statuses, [...Array(10).fill(201), 429, 429], 'users too')

  const client = newClient()
  for (let i = 0; i < room; i++) await look(one, client)
  const refused = await look(two, client)
  t.match(refused, { status: 429, headers: { 'content-type': 'application/problem+json' } })
  const wait = Number(refused.headers['retry-after'])
  t.ok(wait >= 55 && wait <= 60, `Retry-After ${wait}`)
})

t.test('kill -9 of Redis fails no request and holds up none; limits hold in each process', async (t) => {
  const stop = startLooking()
  for (let kills = 1; kills <= 3; kills++) {
    await redis.kill()
    await isShared(false)
    t.equal(await taken(3 * room), 2 * room, 'each counts by itself')
    t.equal(warnings(one), kills, 'one line an outage')
    await redis.restart()
    await isShared(true)
    t.equal(await taken(room + 10), room, 'shared again')
  }
  const { answered, longest, strange } = await stop()
  t.comment(`${answered} requests, the longest ${Math.round(longest)} ms`)
  t.ok(answered > 200)
  t.strictSame(strange.slice(0, 3), [])
  t.ok(longest < boundMs, `the longest took ${Math.round(longest)} ms`)
})

t.test('a Redis that hangs fails no request and holds up none for long', async (t) => {
  const stop = startLooking()
  redis.freeze()
  await isShared(false)
  t.equal(await taken(3 * room), 2 * room, 'each counts by itself')
  redis.thaw()
  await isShared(true)
  t.equal(await taken(room + 10), room, 'shared again')
  const { answered, longest, strange } = await stop()
  t.comment(`${answered} requests, the longest ${Math.round(longest)} ms`)
  t.strictSame(strange.slice(0, 3), [])
  t.ok(longest > 200, 'somebody waited, or nothing hung')
  t.ok(longest < boundMs, `the longest took ${Math.round(longest)} ms`)
})
