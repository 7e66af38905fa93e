import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { migrateToLatest } from '@orders/database'
import { startEmbeddedPostgres } from '@orders/database/embedded'
import autocannon from 'autocannon'

const { values } = parseArgs({
  options: { connections: { type: 'string', default: '64' }, seconds: { type: 'string', default: '5' } },
})
const connections = Number(values.connections)
const maxConnectionRequests = 1000 // the server closes a connection then, and autocannon would go on sending
const duration = Number(values.seconds)

const place: autocannon.Request = {
  method: 'POST',
  path: '/orders',
  headers: { 'content-type': 'application/json' },
  setupRequest: (request) => ({ ...request, body: JSON.stringify({ id: crypto.randomUUID(), amount: 12.5 }) }),
}

const dataDir = await mkdtemp(path.join(tmpdir(), 'orders-bench-'))
const postgres = await startEmbeddedPostgres({ dataDir: path.join(dataDir, 'postgres') })
try {
  await migrateToLatest(postgres.url)
  const { url, stop } = await startServer(postgres.url)
  console.log(`${connections} connections, ${duration} s each, durable commits, everything on one machine\n`)
  console.log('workload        req/s   p50 ms   p99 ms  errors')
  const run = async (name: string, requests: autocannon.Request[], seconds = duration) => {
    const {
      requests: rate,
      latency,
      non2xx,
      errors,
    } = await autocannon({ url, connections, duration: seconds, requests, maxConnectionRequests })
    if (non2xx + errors > 0) process.exitCode = 1
    const cells = [rate.average.toFixed(0).padStart(7), latency.p50.toFixed(1), latency.p99.toFixed(1), non2xx + errors]
    console.log(`${name.padEnd(14)}${cells.map((cell) => String(cell).padStart(8)).join(' ')}`)
  }
  await run('(warm-up)', [place], 1)
  await run('POST', [place])
  const { data } = (await (await fetch(`${url}/orders?limit=200`)).json()) as { data: { id: string }[] }
  await run(
    'GET by id',
    data.map(({ id }) => ({ method: 'GET', path: `/orders/${id}` })),
  )
  await run('list of 50', [{ method: 'GET', path: '/orders?limit=50' }])
  await stop()
} finally {
  await postgres.stop()
  await rm(dataDir, { recursive: true })
}

async function startServer(databaseUrl: string) {
  const server = spawn(process.execPath, ['src/server.ts'], {
    cwd: path.join(import.meta.dirname, '..'),
    env: { ...process.env, DATABASE_URL: databaseUrl, PORT: '0', HOST: '127.0.0.1', DRAIN_DELAY_MS: '0' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(server.stdout, 'data')) as [Buffer]
  const url = /http:\S+/.exec(String(line))?.[0] ?? ''
  const stop = async () => {
    server.kill()
    await once(server, 'exit')
  }
  return { url, stop }
}
