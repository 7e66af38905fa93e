import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import { Gauge } from '@prometheus-io/client'
import Fastify from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { app } from '../src/app.ts'
import { readConfig } from '../src/config.ts'
import { serverOptions } from '../src/server-options.ts'
import { startService } from './service.ts'

t.test('health, readiness and version answer', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}`
  const { send, server } = await startService(t, { ORDERS_COMMIT: 'abc1234', ORDERS_IMAGE_DIGEST: digest })
  for (const path of ['/health', '/livez']) t.match(await send('GET', path), { status: 200, json: { status: 'ok' } })
  for (const path of ['/readyz', '/ready']) {
    t.match(await send('GET', path), { status: 200, json: { status: 'ready', database: 'ok' } })
  }
  t.match((await send('GET', '/version')).json, { version: /^\d+\.\d+\.\d+$/, commit: 'abc1234', image_digest: digest })
  server.startDraining()
  t.match(await send('GET', '/readyz'), { status: 503, json: { status: 'draining' } })
  t.match(await send('GET', '/livez'), { status: 200, headers: { connection: 'close' } })
  t.equal((await send('GET', '/orders')).status, 200, 'requests are served to the end')
})

t.test('metrics count requests by route, and unknown addresses as one', async (t) => {
  const { send, place } = await startService(t)
  await place({ amount: 1 })
  await place({ amount: 'x' })
  for (const id of ['a', 'b', 'c']) await send('GET', `/orders/${id}`)
  // Not those of Node itself, some of which are born with the first of their kind of garbage collection.
  const linesOf = (text: string) => text.match(/^http_/gm)?.length ?? 0
  const before = linesOf((await send('GET', '/metrics')).text)
  await Promise.all(Array.from({ length: 1000 }, (_, i) => send(i % 2 ? 'GET' : 'POST', `/unknown/${i}?x=${i}`)))
  await Promise.all(Array.from({ length: 100 }, (_, i) => send('GET', `/orders/none-${i}`)))
  const { text, headers } = await send('GET', '/metrics')
  t.match(headers['content-type'], /^text\/plain; version=0\.0\.4/)
  const value = (name: string, ...labels: string[]) => {
    const line = text
      .split('\n')
      .find((one) => one.startsWith(`${name}{`) && labels.every((label) => one.includes(label)))
    return Number(line?.split(' ').at(-1))
  }
  const total = 'http_requests_total'
  t.equal(value(total, 'handler="/api/v1/orders"', 'method="POST"', 'status="201"'), 1)
  t.equal(value(total, 'handler="/api/v1/orders"', 'method="POST"', 'status="400"'), 1)
  t.equal(value(total, 'handler="/orders/:id"', 'method="GET"', 'status="404"'), 103)
  t.equal(value(total, 'handler="unknown"', 'method="GET"', 'status="404"'), 500)
  t.equal(value('http_request_duration_seconds_count', 'handler="/orders/:id"', 'status="404"'), 103)
  t.match(text, /\norders_placed_total 1\n/)
  t.notMatch(text, /unknown\/|none-1/)
  const perSeries = 20
  t.ok(before > 0 && linesOf(text) - before <= 3 * perSeries, 'three more series at most')
  for (const name of [
    'orders_database_connections',
    'orders_batch_size_count',
    'order_events_total',
    'process_cpu_seconds_total',
  ]) {
    t.match(text, new RegExp(`^${name}`, 'm'), name)
  }
})

t.test('database errors are counted by kind, from zero', async (t) => {
  const { send, url } = await startService(t)
  const session = new pg.Client(url)
  await session.connect()
  t.teardown(() => session.end())
  const errors = async (kind: string) => {
    const { text } = await send('GET', '/metrics')
    return Number(new RegExp(`^orders_database_errors_total\\{kind="${kind}"\\} (\\d+)$`, 'm').exec(text)?.[1])
  }
  for (const kind of ['connection', 'request', 'probe', 'statement']) t.equal(await errors(kind), 0, kind)

  await session.query('BEGIN; LOCK TABLE orders, kysely_migration')
  await delay(1000) // the last answer of the probe is kept so long
  const [refused, probed] = await Promise.all([send('GET', '/orders'), send('GET', '/readyz')])
  t.match(refused, { status: 503, json: { error: 'DATABASE_UNAVAILABLE' } })
  t.match(probed, { status: 200, json: { database: 'unreachable' } })
  await session.query('ROLLBACK')
  t.same([await errors('request'), await errors('probe')], [1, 1])

  t.equal((await send('GET', '/orders')).status, 200)
  t.equal(await errors('connection'), 0)
  await session.query(
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
  )
  while ((await errors('connection')) === 0) await delay(10)

  await session.query('ALTER TABLE orders RENAME TO elsewhere')
  let listed = 503 // while a connection of the pool is one that has just ended
  while (listed === 503) listed = (await send('GET', '/orders')).status
  t.equal(listed, 500)
  t.equal(await errors('statement'), 1)
})

t.test('a schema that is too old stays so while the database does not answer', async (t) => {
  const { send, url } = await startService(t)
  const session = new pg.Client(url)
  await session.connect()
  t.teardown(() => session.end())
  const ready = () => send('GET', '/readyz')
  t.match(await ready(), { status: 200, json: { database: 'ok' } })
  await session.query('CREATE TABLE applied AS SELECT * FROM kysely_migration; DELETE FROM kysely_migration')
  while ((await ready()).status === 200) await delay(10)
  await session.query('BEGIN; LOCK TABLE kysely_migration')
  const unanswered = async () => /kind="probe"} [1-9]/.test((await send('GET', '/metrics')).text)
  while (!(await unanswered())) {
    t.match(await ready(), { status: 503, json: { database: 'schema too old' } })
    await delay(100)
  }
  t.match(await ready(), { status: 503, json: { database: 'schema too old' } })
  await session.query('ROLLBACK; INSERT INTO kysely_migration SELECT * FROM applied')
  while ((await ready()).status === 503) await delay(10)
  t.match(await ready(), { status: 200, json: { database: 'ok' } })
})

t.test('a scrape that fails is counted, and the next one tells', async (t) => {
  const { send, server } = await startService(t)
  let broken = true
  new Gauge({
    name: 'moody',
    help: 'Fails once.',
    registers: [server.meters.registry],
    collect() {
      if (broken) throw new Error('a secret of the collector')
    },
  })
  const failed = await send('GET', '/metrics')
  t.match(failed, { status: 500, json: { error: 'INTERNAL' } })
  t.notMatch(failed.text, /secret/)
  broken = false
  t.match((await send('GET', '/metrics')).text, /^orders_metrics_handler_errors_total 1$/m)
})

t.test('ADMIN_PORT takes /metrics from the public port', async (t) => {
  const adminPort = await freePort()
  const { server, exited, address } = await startProgram(t, { ADMIN_PORT: String(adminPort) })
  t.equal((await fetch(`${address}/metrics`)).status, 404)
  t.equal((await fetch(`${address}/health`)).status, 200)
  const metrics = await fetch(`http://localhost:${adminPort}/metrics`)
  t.equal(metrics.status, 200)
  t.match(await metrics.text(), /http_requests_total\{[^}]*handler="\/health"/)
  t.equal((await fetch(`http://localhost:${adminPort}/orders`)).status, 404)
  server.kill('SIGTERM')
  t.same(await exited, [0, null])
})

t.test('a program ends in order when nobody reads its log any more', async (t) => {
  // From the signal on, the threads that would write a file are busy: a line that is left to them is still there on exit.
  const busy = `import { pbkdf2 } from 'node:crypto'
    process.on('SIGTERM', () => pbkdf2('', '', 3e6, 64, 'sha512', () => {}))`
  const { server, exited, address } = await startProgram(
    t,
    { LOG_LEVEL: 'debug', UV_THREADPOOL_SIZE: '1' },
    `--import=data:text/javascript,${encodeURIComponent(busy)}`,
  )
  const options = { method: 'POST', headers: { 'content-type': 'application/json', 'content-length': '2' } }
  const pending = Array.from({ length: 3 }, () => request(`${address}/orders`, options))
  for (const it of pending) it.flushHeaders()
  let incoming = 0
  for await (const line of createInterface(server.stdout)) {
    if (line.includes('incoming request')) incoming += 1
    if (incoming === pending.length) break
  }
  server.stdout.destroy()
  server.kill('SIGTERM')
  const late = setTimeout(() => server.kill('SIGKILL'), 15_000)
  for (const it of pending) {
    it.end('{}')
    const [answer] = await once(it, 'response')
    t.equal(answer.resume().statusCode, 400)
  }
  t.same(await exited, [0, null])
  clearTimeout(late)
})

t.test('rejects requests while the event loop stays late, answers /livez, and ignores a single stall', async (t) => {
  const { url } = await createScratchDatabase(t)
  const config = readConfig({ DATABASE_URL: url, LOG_LEVEL: 'silent' })
  const server = Fastify(serverOptions(config))
  t.teardown(() => server.close())
  await app(server, config)
  const address = await server.listen({ port: 0 })
  const get = (path: string) => fetch(`${address}${path}`)
  let answer = await get('/health')
  t.equal(answer.status, 200, 'what happened before it listened does not count')
  while (answer.status === 200) {
    block(500)
    answer = await get('/health')
  }
  t.equal(answer.status, 503)
  t.equal(answer.headers.get('retry-after'), '2')
  t.match(await answer.json(), { error: 'OVERLOADED', status: 503 })
  const counted = /^http_requests_total\{method="GET",handler="\/health",status="503"\} 1$/m
  t.match(await server.meters.registry.metrics(), counted, 'the error rate includes it')
  t.equal((await get('/livez')).status, 200)
  while (answer.status === 503) {
    await delay(50)
    answer = await get('/health')
  }
  t.equal(answer.status, 200)

  // The samples of the stall and of the second after it.
  block(1500)
  const statuses = new Set<number>()
  for (const end = performance.now() + 2500; performance.now() < end; await delay(20)) {
    statuses.add((await get('/health')).status)
  }
  t.strictSame([...statuses], [200])
})

/** Starts the program itself on a database of its own, and waits until it serves; it ends with the test. */
async function startProgram(t: Test, settings: Record<string, string>, ...options: string[]) {
  const { url } = await createScratchDatabase(t)
  const env = { PATH: process.env.PATH, DATABASE_URL: url, PORT: '0', DRAIN_DELAY_MS: '0', ...settings }
  const program = new URL('../src/server.ts', import.meta.url).pathname
  const server = spawn(process.execPath, [...options, program], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(server, 'exit')
  t.teardown(async () => {
    server.kill('SIGKILL')
    await exited
  })
  for await (const line of createInterface(server.stdout)) {
    const address = /^Orders is ready on (\S+)$/.exec(line)?.[1]
    if (address) return { server, exited, address }
  }
  throw new Error('the program did not start')
}

/** Keeps this process, and so the service in it, from everything else. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds
  while (performance.now() < end);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
