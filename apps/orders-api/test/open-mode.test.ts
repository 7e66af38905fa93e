import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { startService } from './service.ts'

const order = { id: 'known', amount: 1 }
const evil = 'https://evil.example'

const reads = [
  '/orders',
  '/orders/known',
  '/',
  '/orders/export?format=csv',
  '/orders/stats',
  '/metrics',
  '/openapi.json',
  '/health',
]

t.test('a page of another site can neither change nor read anything', async (t) => {
  const { send, place } = await startService(t)
  await place(order)
  const foreign: [string, Record<string, string>][] = [
    ['a fetch of another site', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors', origin: evil }],
    ['a fetch without an Origin', { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' }],
    ['a fetch of an old browser', { origin: evil }],
    ['another port of this machine', { 'sec-fetch-site': 'same-site', origin: 'http://localhost:3000' }],
    ['a sandboxed frame', { origin: 'null' }],
    [
      'an image or a frame of another site',
      { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'iframe' },
    ],
  ]
  for (const [from, headers] of foreign) {
    for (const path of reads) {
      const read = await send('GET', path, { headers })
      t.match(read, { status: 403, text: /CROSS_SITE_REQUEST|Request from another site/ }, `GET ${path} by ${from}`)
    }
    t.match(await place({ amount: 1 }, headers), { status: 403 }, `an order by ${from}`)
    for (const path of ['/orders/known/cancel', '/api/v1/orders/import']) {
      t.match(await send('POST', path, { headers }), { status: 403 }, `${path} by ${from}`)
    }
  }
  const form = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  t.match(await send('POST', '/orders/known/cancel', { headers: form }), { status: 403 }, 'a form of another site')
  t.match(await send('GET', '/orders/known'), { json: { status: 'placed', version: 1 } }, 'nothing was changed')
})

t.test('a name that leads to this machine is not enough', async (t) => {
  const { send, sendRaw, place } = await startService(t)
  await place(order)
  const hosts = [
    'evil.example',
    'evil.example:8000',
    '10.0.0.1',
    '0.0.0.0',
    '[::]',
    '169.254.169.254',
    'localhost.evil.example',
    'localhost@evil.example',
    '127.0.0.1.evil.example',
    'localhost/.evil.example',
    'evil.example@localhost',
    'localhost?evil.example',
    'localhost\\evil.example',
    'x',
  ]
  for (const host of hosts) {
    for (const path of reads) {
      const { status, text } = await send('GET', path, { headers: { host } })
      if (status !== 421 || !/HOST_NOT_ALLOWED|Host name not allowed/.test(text))
        t.fail(`GET ${path} of ${host}: ${status}`)
    }
    t.match(
      await place({ amount: 1 }, { host, origin: `http://${host}`, 'sec-fetch-site': 'same-origin' }),
      { status: 421 },
      host,
    )
  }
  for (const host of ['Host:', 'Host: ', 'Host: :8000']) {
    t.match(await sendRaw(`GET /orders HTTP/1.1\r\n${host}\r\nConnection: close\r\n\r\n`), /^HTTP\/1.1 421 /, host)
  }
  t.equal((await send('GET', '/orders')).json.data.length, 1)
})

t.test('people of this machine get in as before', async (t) => {
  const { send, place } = await startService(t, {
    ALLOWED_HOSTS: 'orders.lan,Nas.Local',
    PUBLIC_URL: 'https://orders.example.com',
  })
  await place(order)
  const hosts = [
    'localhost',
    'LOCALHOST:8000',
    'orders.localhost',
    '127.0.0.1',
    '127.8.0.1:1',
    '[::1]:8000',
    'orders.lan',
    'nas.local:80',
    'orders.example.com',
  ]
  for (const host of hosts) t.match(await send('GET', '/orders', { headers: { host } }), { status: 200 }, host)
  const own = { host: 'localhost:8000', origin: 'http://localhost:8000', 'sec-fetch-site': 'same-origin' }
  t.match(await place({ amount: 1 }, own), { status: 201 }, 'a script of our own page')
  t.match(await place({ amount: 1 }), { status: 201 }, 'curl')
  t.match(await send('GET', '/', { headers: { 'sec-fetch-site': 'none' } }), { status: 200 }, 'a typed address')
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  t.match(await send('GET', '/', { headers: link }), { status: 200 }, 'a link of another site, which cannot read it')
})

t.test('where a token is required, a proxy decides about names, and the token about the rest', async (t) => {
  const { send } = await startService(t, { AUTH_MODE: 'required', GUEST_KEYS: await newGuestKeys('test-key') })
  const headers = { host: 'orders.example.com', origin: evil, 'sec-fetch-site': 'cross-site' }
  t.match(await send('GET', '/health', { headers }), { status: 200 })
  t.match(await send('GET', '/orders', { headers }), { status: 401 })
})

t.test('metrics are public only where everything is', async (t) => {
  const open = await startService(t)
  t.equal((await open.send('GET', '/metrics')).status, 200)
  const closed = await startService(t, { AUTH_MODE: 'required', GUEST_KEYS: await newGuestKeys('test-key') })
  t.equal((await closed.send('GET', '/metrics')).status, 404)
})
