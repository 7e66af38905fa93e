import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { startService } from './service.ts'

const script = join(import.meta.dirname, '../src/smoke.ts')

type Run = { code: number; output: string; error: string }

function smoke(...args: string[]): Promise<Run> {
  return new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], (error, output, errors) => {
      resolve({ code: error ? Number(error.code) : 0, output, error: errors })
    })
  })
}

t.test('a working service passes, and its order is told apart and cancelled', async (t) => {
  const service = await startService(t, { ORDERS_COMMIT: 'abc123' })
  const url = `http://127.0.0.1:${service.port}`

  const run = await smoke(url, '--commit', 'abc123')
  t.match(run, { code: 0, output: /^Placed, read back and cancelled order \S+ in \d+ ms\.\n$/, error: '' })
  const { json } = await service.send('GET', '/api/v1/orders')
  t.match(json.data, [{ status: 'cancelled', metadata: { smoke: 'true' } }])

  t.match(await smoke(url, '--commit', 'def456'), { code: 1, output: '', error: /runs commit abc123, not def456/ })
  const { json: after } = await service.send('GET', '/api/v1/orders')
  t.equal(after.data.length, 1, 'no order is placed in the wrong version')
})

t.test('what does not work fails with one sentence', async (t) => {
  type Handler = (request: IncomingMessage, response: ServerResponse) => void
  let handle: Handler = () => {}
  const server = createServer((request, response) => handle(request, response)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/base`
  const json = (response: ServerResponse, status: number, body: object) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

  handle = (_request, response) => response.writeHead(503, { 'content-type': 'text/html' }).end('<h1>Busy</h1>')
  t.match(await smoke(url), { code: 1, output: '', error: /^GET \S+\/base\/health answered 503, not 200\.\n$/ })

  handle = (_request, response) => response.writeHead(302, { location: '/elsewhere' }).end()
  t.match(await smoke(url), { code: 1, error: /^GET \S+ answered 302, not 200\.\n$/ })

  handle = ({ method, url }, response) => {
    if (method === 'POST') json(response, 201, { id: 'a', amount: 1 })
    else json(response, 200, url?.endsWith('/orders/a') ? { id: 'a', amount: 2 } : {})
  }
  t.match(await smoke(url), {
    code: 1,
    output: '',
    error: /^Order a was read back otherwise than it was placed: .+\n$/,
  })

  handle = ({ method }, response) => {
    if (method === 'POST') json(response, 503, { title: 'The database is away' })
    else json(response, 200, {})
  }
  t.match(await smoke(url), { code: 1, error: /^POST \S+\/orders answered 503 \(The database is away\), not 201\.\n$/ })
  handle = (request) => request.socket.destroy()
  t.match(await smoke(url), { code: 1, error: /^GET \S+ got no answer \(.+\): .+\n$/ })

  for (const args of [[], ['orders.example.com'], [url, url], ['--what']]) {
    t.match(await smoke(...args), { code: 1, output: '', error: /^[^\n]+\.\n$/ }, `arguments ${args.join(' ')}`)
  }
})
