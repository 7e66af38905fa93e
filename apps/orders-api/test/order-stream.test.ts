import http from 'node:http'
import { connectionOptions, openDatabase } from '@orders/database'
import { createRelay } from '@orders/orders'
import pg from 'pg'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { type Service, startService } from './service.ts'

const GUEST_KEYS = await newGuestKeys('test-key')

type Message = {
  id: string
  event: string
  data: { order_id: string; sequence: number; type: string; reason?: string }
}

/** Moves events to the log, as a worker does. */
function mover(t: Test, url: string) {
  const pool = new pg.Pool(connectionOptions(url, { max: 1, role: 'orders_worker' }))
  t.teardown(() => pool.end())
  return createRelay({ database: openDatabase(pool, () => {}), handOn: async () => [] })
}

/** A client that reads a stream: what it got so far, and how it ended. */
function listenTo({ port }: Service, headers: http.OutgoingHttpHeaders = {}) {
  const got: Message[] = []
  const opened = Promise.withResolvers<http.IncomingMessage>()
  const ended = Promise.withResolvers<void>()
  const request = http.get(
    { port, host: '127.0.0.1', path: '/api/v1/orders/stream', headers, agent: false },
    (answer) => {
      let text = ''
      answer.setEncoding('utf8')
      answer.on('data', (chunk) => {
        opened.resolve(answer)
        text += chunk
        const parts = text.split('\n\n')
        text = parts.pop() ?? ''
        for (const part of parts) {
          const fields = Object.fromEntries(part.split('\n').map((line) => line.split(/: ?(.*)/s).slice(0, 2)))
          if (fields.data && fields.event !== 'begin')
            got.push({ id: fields.id, event: fields.event, data: JSON.parse(fields.data) })
        }
      })
      answer.on('close', ended.resolve)
    },
  )
  request.on('error', opened.reject)
  return { got, opened: opened.promise, ended: ended.promise, close: () => request.destroy() }
}

async function signInAsGuest(service: Service) {
  const { json } = await service.send('POST', '/api/v1/auth/guest')
  return { id: json.user.id, org: json.org.id, headers: { authorization: `Bearer ${json.access_token}` } }
}

async function until(condition: () => unknown): Promise<void> {
  for (const giveUpAt = Date.now() + 10_000; !(await condition()); await new Promise((r) => setTimeout(r, 5)))
    if (Date.now() > giveUpAt) throw new Error(`not within 10 s: ${condition}`)
}

t.test('tells what happens to orders, in order, and goes on from where it was', async (t) => {
  const service = await startService(t)
  const { move } = mover(t, service.url)
  await service.place({ id: 'before', amount: 1 })
  await move()
  const first = listenTo(service)
  const answer = await first.opened
  t.match(answer.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  await service.place({ id: 'a', amount: 12.5 })
  await service.send('POST', '/orders/a/confirm')
  await move()
  await until(() => first.got.length === 2)
  t.match(first.got, [
    { id: '2', event: 'orders.order.placed.v1', data: { order_id: 'a', sequence: 1, data: { amount: 12.5 } } },
    {
      id: '3',
      event: 'orders.order.confirmed.v1',
      data: { order_id: 'a', sequence: 2, data: { status: 'confirmed' } },
    },
  ])
  const history = (await service.send('GET', '/orders/a/events')).json.data
  t.same(
    first.got.map(({ data }) => data),
    history,
    'as the history tells it',
  )
  first.close()
  await first.ended

  await service.send('POST', '/orders/a/cancel')
  await move()
  const again = listenTo(service, { 'last-event-id': '2' })
  await until(() => again.got.length === 2)
  t.strictSame(
    again.got.map(({ id }) => id),
    ['3', '4'],
  )
  again.close()
  const whole = listenTo(service, { 'last-event-id': '0' })
  await until(() => whole.got.length === 4)
  t.strictSame(
    whole.got.map(({ id }) => id),
    ['1', '2', '3', '4'],
  )
  whole.close()
})

t.test('a position that cannot be gone on from is refused', async (t) => {
  const service = await startService(t)
  const { move } = mover(t, service.url)
  const open = (id: string) => service.send('GET', '/orders/stream', { headers: { 'last-event-id': id } })
  t.match(await open('x'), { status: 400, json: { error: 'VALIDATION_FAILED', errors: [{ path: '/last-event-id' }] } })
  t.match(await open('1'), { status: 410, json: { error: 'STREAM_POSITION_GONE' } })
  for (const id of ['a', 'b', 'c']) await service.place({ id, amount: 1 })
  await move()
  const admin = new pg.Client(service.url)
  await admin.connect()
  await admin.query('DELETE FROM event_log WHERE position < 3')
  t.match(await open('1'), { status: 410 })
  const kept = listenTo(service, { 'last-event-id': '2' })
  await until(() => kept.got.length === 1)
  kept.close()
  await admin.query('DELETE FROM event_log')
  t.match(await open('2'), { status: 410 })
  const newest = listenTo(service, { 'last-event-id': '3' })
  await newest.opened
  newest.close()
  await admin.end()
})

t.test('each hears of the own organisation, and nothing more once removed', async (t) => {
  const service = await startService(t, { GUEST_KEYS, AUTH_MODE: 'required' })
  const { move } = mover(t, service.url)
  const [mine, yours] = [await signInAsGuest(service), await signInAsGuest(service)]
  t.equal((await service.send('GET', '/orders/stream')).status, 401)
  const here = { ...yours.headers, 'x-org-id': mine.org }
  t.match(await service.send('GET', '/orders/stream', { headers: here }), { status: 404 })
  const member = `/api/v1/orgs/${mine.org}/members/${yours.id}`
  await service.send('PUT', member, { headers: mine.headers, body: { role: 'viewer' } })
  const [me, you, guest] = [mine.headers, yours.headers, here].map((headers) => listenTo(service, headers))
  await Promise.all([me, you, guest].map((it) => it?.opened))
  await service.place({ id: 'a', amount: 1 }, mine.headers)
  await service.place({ id: 'b', amount: 1 }, yours.headers)
  await move()
  await until(() => me?.got.length === 1 && you?.got.length === 1 && guest?.got.length === 1)
  t.match(
    [me?.got, you?.got, guest?.got],
    [[{ data: { order_id: 'a' } }], [{ data: { order_id: 'b' } }], [{ data: { order_id: 'a' } }]],
  )
  await service.send('DELETE', member, { headers: mine.headers })
  service.server.orderStream.beat()
  await guest?.ended
  t.match(guest?.got.at(-1), { event: 'end', data: { reason: 'you may no longer listen' } })
  for (const it of [me, you]) it?.close()
})

t.test('who reads too slowly is cut off, and the others are not kept', async (t) => {
  const service = await startService(t, {}, { patienceMs: 500 })
  const { move } = mover(t, service.url)
  const quick = listenTo(service)
  const slow = listenTo(service)
  const answer = await slow.opened
  await quick.opened
  answer.pause()
  const description = 'x'.repeat(2000)
  const count = 4000
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify({ id: `o-${i}`, amount: 1, description }))
  await service.send('POST', '/orders/import', {
    headers: { 'content-type': 'application/x-ndjson' },
    body: lines.join('\n'),
  })
  while ((await move()) > 0);
  await until(() => quick.got.length === count)
  await until(() => service.server.orderStream.readers() === 1)
  answer.resume()
  await slow.ended
  t.ok(slow.got.length < count, `${slow.got.length} events`)
  const positions = slow.got.flatMap(({ id }) => (id ? [Number(id)] : []))
  t.strictSame(
    positions,
    positions.map((_, i) => i + 1),
    'what it got has no gap',
  )
  quick.close()
})

t.test('survives a log that cannot be read while a stream is being opened', async (t) => {
  const service = await startService(t, { GUEST_KEYS, AUTH_MODE: 'required' })
  const [mine, yours] = [await signInAsGuest(service), await signInAsGuest(service)]
  const listening = listenTo(service, mine.headers)
  await listening.opened
  const admin = new pg.Client(service.url)
  await admin.connect()
  t.teardown(() => admin.end())

  await admin.query('BEGIN; LOCK TABLE event_positions')
  const opening = service.send('GET', '/orders/stream', { headers: yours.headers })
  await until(async () => {
    const { rows } = await admin.query('SELECT FROM pg_locks WHERE NOT granted')
    return rows.length > 0
  })
  service.server.orderStream.lookFor()
  service.server.longResponses.drain()

  t.match(await opening, { status: 503, json: { error: 'DATABASE_UNAVAILABLE' } })
  await listening.ended
  await admin.query('ROLLBACK')
  const again = listenTo(service, yours.headers)
  await again.opened
  again.close()
})

t.test('sends no heartbeat after the end of a stream', async (t) => {
  const service = await startService(t)
  const it = listenTo(service)
  const response = await it.opened

  service.server.longResponses.drain()
  service.server.orderStream.beat()

  await it.ended
  t.match(it.got, [{ event: 'end' }])
  t.equal(response.complete, true)
})

t.test('a server that goes down says so', async (t) => {
  const service = await startService(t)
  const it = listenTo(service)
  await it.opened
  await service.server.close()
  await it.ended
  t.match(it.got, [{ event: 'end', data: { reason: 'the server is going down' } }])
})
