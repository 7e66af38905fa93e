import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
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

t.test('a working service passes: a guest of its own places an order, told apart and cancelled', async (t) => {
  const GUEST_KEYS = await newGuestKeys('test-key')
  const service = await startService(t, { ORDERS_COMMIT: 'abc123', AUTH_MODE: 'required', GUEST_KEYS })
  const url = `http://127.0.0.1:${service.port}`

  const run = await smoke(url, '--commit', 'abc123')
  t.match(run, { code: 0, output: /^Placed, .+ order \S+ in \d+ ms, as guest-0001\.\n$/, error: '' })

  const { json: guest } = await service.send('POST', '/api/v1/auth/guest')
  const file = join(t.testdir({ token: `${guest.access_token}\n` }), 'token')
  const told = await smoke(url, '--token-file', file)
  t.match(told, { code: 0, output: /^Placed, .+ order \S+ in \d+ ms, with the token given\.\n$/, error: '' })
  const headers = { authorization: `Bearer ${guest.access_token}` }
  const own = async () => (await service.send('GET', '/api/v1/orders', { headers })).json.data
  t.match(await own(), [{ status: 'cancelled', metadata: { smoke: 'true' } }], 'and not the first guest’s')

  const wrong = await smoke(url, '--token-file', file, '--commit', 'def456')
  t.match(wrong, { code: 1, output: '', error: /runs commit abc123, not def456/ })
  t.equal((await own()).length, 1, 'no order is placed in the wrong version')
  t.match(await smoke(url, '--token-file', `${file}s`), {
    code: 1,
    error: /^--token-file \S+ cannot be read \(ENOENT\)/,
  })
})

t.test('a service that takes no guests is asked without a token', async (t) => {
  const open = await startService(t)
  const run = await smoke(`http://127.0.0.1:${open.port}`)
  t.match(run, { code: 0, output: /^Placed, .+ ms, without a token\.\n$/, error: '' })
  t.match((await open.send('GET', '/api/v1/orders')).json.data, [{ status: 'cancelled', metadata: { smoke: 'true' } }])
  const closed = await startService(t, { AUTH_MODE: 'required' })
  t.match(await smoke(`http://127.0.0.1:${closed.port}`), {
    code: 1,
    output: '',
    error: /orders answered 401 \(.+\), not/,
  })
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

  const guest = { access_token: 'token', user: { name: 'guest-0001' } }
  handle = ({ method, url }, response) => {
    if (url?.endsWith('/auth/guest')) json(response, 201, guest)
    else if (method === 'POST') json(response, 201, { id: 'a', amount: 1 })
    else json(response, 200, url?.endsWith('/orders/a') ? { id: 'a', amount: 2 } : {})
  }
  t.match(await smoke(url), {
    code: 1,
    output: '',
    error: /^Order a was read back otherwise than it was placed: .+\n$/,
  })

  const placed = { id: 'a', amount: 1, status: 'placed', version: 1, updated_at: '2026-01-01T00:00:00Z' }
  const confirmed = { ...placed, status: 'confirmed', version: 2, updated_at: '2026-01-01T00:00:01Z' }
  handle = ({ method, url }, response) => {
    if (url?.endsWith('/auth/guest')) json(response, 201, guest)
    else if (url?.endsWith('/cancel')) json(response, 200, {})
    else if (method === 'POST') json(response, 201, placed)
    else json(response, 200, url?.endsWith('/orders/a') ? confirmed : {})
  }
  t.match(await smoke(url), { code: 0, error: '' }, 'a worker was faster')

  handle = ({ method, url }, response) => {
    if (url?.endsWith('/auth/guest')) json(response, 201, guest)
    else if (method === 'POST') json(response, 503, { title: 'The database is away' })
    else json(response, 200, {})
  }
  t.match(await smoke(url), { code: 1, error: /^POST \S+\/orders answered 503 \(The database is away\), not 201\.\n$/ })
  handle = ({ method }, response) => json(response, method === 'POST' ? 429 : 200, { title: 'Too many requests' })
  t.match(await smoke(url), {
    code: 1,
    error: /^POST \S+\/guest answered 429 \(Too many requests\), not 201 or 404\.\n$/,
  })
  handle = (request) => request.socket.destroy()
  t.match(await smoke(url), { code: 1, error: /^GET \S+ got no answer \(.+\): .+\n$/ })

  for (const args of [[], ['orders.example.com'], [url, url], ['--what']]) {
    t.match(await smoke(...args), { code: 1, output: '', error: /^[^\n]+\.\n$/ }, `arguments ${args.join(' ')}`)
  }
})
