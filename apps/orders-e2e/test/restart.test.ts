import { once } from 'node:events'
import { createServer, connect as openSocket, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { check } from '../src/faults/checker.ts'
import { keepAlive, place, send } from '../src/faults/http.ts'
import { Journal } from '../src/faults/journal.ts'
import { serve, startService } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

const clean = { code: 0, signal: null }

/** Waits until a new connection to `url` is refused. */
async function untilRefused(url: string): Promise<void> {
  for (;;) {
    const error = await send(`${url}/livez`).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error,
    )
    if (error?.code === 'ECONNREFUSED') return
    await delay(10)
  }
}

/** A keep-alive connection on which one request has been answered. */
async function idleSocket(t: Test, url: string): Promise<Socket> {
  const socket = openSocket(Number(new URL(url).port), '127.0.0.1').setEncoding('utf8')
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await once(socket, 'data')
  return socket
}

t.test('SIGTERM: not ready at once, still serving for the drain, then gone', async (t) => {
  const { url: database } = await createScratchDatabase(t)
  const service = await serve(t, { DATABASE_URL: database, DRAIN_DELAY_MS: '2000' })
  const agent = keepAlive()
  t.teardown(() => agent.destroy())
  await idleSocket(t, service.url)
  t.equal((await send(`${service.url}/readyz`, { agent })).status, 200)

  const began = performance.now()
  service.kill('SIGTERM')
  let readiness = 200
  while (readiness === 200) readiness = (await send(`${service.url}/readyz`)).status
  const turned = performance.now() - began
  t.equal(readiness, 503)
  t.ok(turned < 1000, `/readyz turned after ${Math.round(turned)} ms`)
  service.kill('SIGTERM')
  service.kill('SIGINT')

  let served = 0
  let ended = false
  void service.exited.then(() => {
    ended = true
  })
  const stops = untilRefused(service.url).then(() => performance.now() - began)
  while (performance.now() - began < 1000) {
    const answer = await place(service.url, `drain-key-0123456789-${served++}`, { amount: 1 }, agent)
    if (answer.status !== 201) t.fail(`status ${answer.status}: ${answer.body}`)
    if (answer.headers.connection !== 'close') t.fail('the answer invites to send more on this connection')
  }
  t.ok(served > 1, `${served} orders placed while draining`)
  t.notOk(ended)
  t.equal((await send(`${service.url}/livez`)).status, 200, 'alive, or it would be killed for draining')
  t.ok((await stops) >= 1990, 'a second signal does not shorten the drain')
  t.strictSame(await service.exited, clean)
  const took = performance.now() - began
  t.ok(took < 6000, `ended after ${Math.round(took)} ms, an idle keep-alive connection open`)
  t.equal(service.output.stderr, '')
})

t.test('SIGTERM in the middle of a flush: every order is kept and answered', async (t) => {
  const { url: database } = await createScratchDatabase(t)
  const admin = await connect(t, database)
  const service = await serve(t, { DATABASE_URL: database, DRAIN_DELAY_MS: '0' })
  const agent = keepAlive()
  t.teardown(() => agent.destroy())
  const journal = new Journal()
  const entries = Array.from({ length: 200 }, (_, n) => {
    const key = `flush-key-0123456789-${n}`
    return journal.open({ amount: 1 + n, metadata: { key } })
  })
  await Promise.all(entries.map(() => send(`${service.url}/livez`, { agent })))

  await admin.query('BEGIN')
  await admin.query('LOCK TABLE orders IN SHARE MODE')
  const answers = entries.map(async (entry) => {
    journal.acknowledge(entry, await place(service.url, entry.key, entry.order, agent))
  })
  const waiting = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'orders' AND wait_event_type = 'Lock'"
  while ((await admin.query(waiting)).rows.length === 0) await delay(5)
  service.kill('SIGTERM')
  await untilRefused(service.url)
  const began = performance.now()
  await admin.query('COMMIT')
  await Promise.all(answers)
  t.strictSame([...new Set(entries.map(({ answer }) => answer?.status))], [201])
  t.strictSame(await service.exited, clean)
  const took = performance.now() - began
  t.ok(took < 3000, `connections that went idle while closing held the exit for ${Math.round(took)} ms`)
  t.match(await check(database, entries), { acknowledged: 200, lost: 0, duplicates: 0, incomplete: 0, stray: 0 })
})

t.test('SIGTERM before it serves ends it at once', async (t) => {
  // Takes connections and says nothing, as a database does that is still starting.
  const silent = createServer().listen(0, '127.0.0.1')
  const sockets: Socket[] = []
  silent.on('connection', (socket) => sockets.push(socket.on('error', () => {})))
  await once(silent, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  const { port } = silent.address() as { port: number }
  const service = startService({
    DATABASE_URL: `postgres://postgres:x@127.0.0.1:${port}/orders`,
    DATABASE_WAIT_MS: '60000',
  })
  t.teardown(async () => {
    service.kill('SIGKILL')
    await service.exited
  })
  await once(silent, 'connection')
  const began = performance.now()
  service.kill('SIGTERM')
  t.strictSame(await service.exited, clean)
  const took = performance.now() - began
  t.ok(took < 3000, `there is nothing to drain, and it took ${Math.round(took)} ms`)
  t.strictSame(service.output, { stdout: '', stderr: '' })
})

t.test('kill -9, over and over: the port is free again and every order is there', async (t) => {
  const { url: database } = await createScratchDatabase(t)
  let settings: Record<string, string> = { DATABASE_URL: database }
  for (let round = 0; round < 3; round++) {
    const service = await serve(t, settings)
    settings = { ...settings, PORT: new URL(service.url).port }
    t.equal(
      (await place(service.url, `again-key-0123456789-${round}`, { id: `again-${round}`, amount: 1 })).status,
      201,
    )
    for (let earlier = 0; earlier <= round; earlier++) {
      t.equal((await send(`${service.url}/orders/again-${earlier}`)).status, 200)
    }
    service.kill('SIGKILL')
    await service.exited
  }
})

t.test('a newer schema is served', async (t) => {
  const { url: database } = await createScratchDatabase(t)
  await (await connect(t, database)).query("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999', '2999')")
  const service = await serve(t, { DATABASE_URL: database })
  t.equal((await send(`${service.url}/readyz`)).status, 200)
})
