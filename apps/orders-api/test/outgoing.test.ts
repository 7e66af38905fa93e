import { connect, type Socket } from 'node:net'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { createBudget } from '../src/outgoing/budget.ts'
import { usedBytes } from '../src/plugins/pressure.ts'
import {
  isAnswered,
  openClient,
  placeMany,
  sendAndLeave,
  signInAsGuest,
  until,
  waitsForLock,
} from './long-responses/client.ts'
import { createClock } from './rate-limits/clock.ts'
import { startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const mebibyte = 1024 * 1024
t.setTimeout(120_000)

t.test('a budget bounds each user and all together', async (t) => {
  const clock = createClock()
  const budget = createBudget({ perUser: 10, perProcess: 15, now: clock.now })
  const waiting = { ann: 0, bob: 0, open: 0 }
  const untrack = budget.track({ userId: 'ann', queued: () => waiting.ann })
  budget.track({ userId: 'bob', queued: () => waiting.bob })
  budget.track({ userId: undefined, queued: () => waiting.open })

  t.equal(budget.admit('ann', 10), undefined)
  waiting.ann = 10
  t.equal(budget.admit('ann', 1), 'user')
  t.equal(budget.admit('bob', 6), 'process')
  t.equal(budget.admit('bob', 5), undefined)
  waiting.bob = 5
  t.equal(budget.admit(undefined, 1), 'process')
  waiting.ann = 8 // the client has read 2
  clock.pass(50)
  t.equal(budget.admit(undefined, 2), undefined, 'what was read makes room')
  waiting.open = 2
  t.equal(budget.queued(), 15)
  untrack()
  t.equal(budget.queued(), 7)
  t.equal(budget.admit('ann', 8), undefined)
})

t.test('counts what waits at most once in 50 ms', async (t) => {
  const clock = createClock()
  const budget = createBudget({ perUser: 10, perProcess: 15, now: clock.now })
  let counts = 0
  budget.track({ userId: 'ann', queued: () => ++counts && 10 })

  budget.hasRoom('ann', 11)
  for (let i = 0; i < 100; i++) budget.hasRoom('ann', 11)
  clock.pass(49)
  budget.hasRoom('ann', 11)
  const within = counts
  clock.pass(1)
  budget.hasRoom('ann', 11)

  t.equal(within, 1)
  t.equal(counts, 2)
})

t.test('refuses responses to a user whose client does not read, and serves others', async (t) => {
  const bounds = { perUser: 8 * mebibyte, perProcess: 64 * mebibyte }
  const service = await startService(t, { GUEST_KEYS, AUTH_MODE: 'required' }, { outgoingBounds: bounds })
  const [ann, bob] = [await signInAsGuest(service), await signInAsGuest(service)]
  for (const { headers } of [ann, bob]) await placeMany(service, headers, 100)
  const list = (headers: object) => service.send('GET', '/api/v1/orders?limit=200', { headers: { ...headers } })
  const refusals = async () => {
    const text = await service.server.meters.registry.metrics()
    return Number(/^orders_rate_limited_total\{limit="user-queued-bytes"\} (\d+)$/m.exec(text)?.[1])
  }

  const silent = connect(service.port, '127.0.0.1').pause()
  t.teardown(() => silent.destroy())
  const { authorization } = ann.headers
  const request = `GET /api/v1/orders?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n\r\n`
  silent.write(request.repeat(30) + request.replace('Host: x', 'Host: x\r\nConnection: close'))
  await until(async () => (await refusals()) > 0)
  const queued = service.server.outgoing.queued()
  const others = await list(bob.headers)

  t.ok(queued > mebibyte && queued <= bounds.perUser + mebibyte, `${queued} bytes wait`)
  t.equal(others.status, 200)
  t.equal((await service.send('GET', '/api/v1/me', { headers: ann.headers })).status, 200, 'small responses pass')
  const text = await readToEnd(silent)
  t.match(text, /HTTP\/1.1 429 [\s\S]*retry-after: 10\r\n[\s\S]*"More than 8 MiB wait for you to read them:/)
  await until(() => service.server.outgoing.queued() === 0)
  t.equal((await list(ann.headers)).status, 200, 'what was read makes room')
})

t.test('does not track the response of a client that left during the query', async (t) => {
  const service = await startService(t, { GUEST_KEYS, AUTH_MODE: 'required' })
  const guest = await signInAsGuest(service)
  await placeMany(service, guest.headers, 100)
  const admin = await openClient(t, service.url)

  await admin.query('BEGIN; LOCK TABLE orders')
  const response = await sendAndLeave(service, '/api/v1/orders', guest, () => waitsForLock(admin))
  await admin.query('ROLLBACK')
  await until(() => isAnswered(response))

  t.equal(service.server.outgoing.tracked(), 0)
})

/** Reads a connection until the server closes it. */
async function readToEnd(socket: Socket): Promise<string> {
  const pieces: Buffer[] = []
  socket.on('data', (piece) => pieces.push(piece)).resume()
  await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(pieces).toString()
}

t.test('memory outside the heap counts as used', async (t) => {
  const before = usedBytes()
  const buffer = Buffer.alloc(64 * mebibyte)
  t.ok(usedBytes() - before > 48 * mebibyte, `${buffer.length} bytes more`)
})
