import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { createLookup } from '@orders/runtime'
import { startDns } from '@orders/runtime/testing'
import t, { type Test } from 'tap'
import { createSender } from '../../src/webhooks/sender.ts'
import { listen, makeCertificate } from './servers.ts'

const secrets = [{ kind: 'hmac', key: randomBytes(32) } as const]
const message = (url: string) => ({ url, secrets, id: 'msg_1', timestamp: 1_700_000_000, body: '{"name":"caf\u00e9"}' })

function sender(t: Test, options: Partial<Parameters<typeof createSender>[0]> = {}) {
  const it = createSender({ allowLoopback: true, ...options })
  t.teardown(it.close)
  return (url: string) => it.sendWebhook(message(url))
}

/** What a sender makes of an HTTP server that answers like this. */
async function outcomeOf(t: Test, answer: RequestListener) {
  return sender(t)(`http://127.0.0.1:${await listen(t, createServer(answer))}/hook?a=b`)
}

/** What a sender makes of a server that is free to break HTTP. */
async function outcomeOfBytes(t: Test, answer: (socket: Socket) => void) {
  const server = createTcpServer((socket) => socket.once('data', () => answer(socket)))
  return sender(t)(`http://127.0.0.1:${await listen(t, server)}/`)
}

async function startZone(t: Test, zone: Record<string, string[][]>) {
  const dns = await startDns(zone)
  t.teardown(dns.close)
  return { lookup: createLookup(dns.resolver), asked: dns.asked }
}

t.test('a message is sent as it was signed, with no header beside what is needed', async (t) => {
  const got = Promise.withResolvers<{ line: string; headers: IncomingHttpHeaders; body: string }>()
  const outcome = await outcomeOf(t, async (request, reply) => {
    const body = Buffer.concat(await request.toArray()).toString()
    got.resolve({ line: `${request.method} ${request.url}`, headers: request.headers, body })
    reply.writeHead(200, { 'set-cookie': 'a=b' }).end('thank you')
  })
  t.match(outcome, { status: 200, reply: 'thank you' })
  t.strictSame(Object.keys(outcome).sort(), ['duration_ms', 'reply', 'status'])
  const { line, headers, body } = await got.promise
  t.strictSame([line, body], ['POST /hook?a=b', message('').body])
  t.strictSame(Object.keys(headers).sort(), [
    'connection',
    'content-length',
    'content-type',
    'host',
    'user-agent',
    'webhook-id',
    'webhook-signature',
    'webhook-timestamp',
  ])
  t.match(headers, {
    'user-agent': 'Orders-Webhooks/1',
    'content-type': 'application/cloudevents+json',
    connection: 'close',
  })
})

t.test('statuses are told as they came', async (t) => {
  for (const status of [200, 202, 204, 400, 404, 410, 500, 503]) {
    const outcome = await outcomeOf(t, (_request, reply) => reply.writeHead(status).end())
    t.match(outcome, { status, reply: '', error: undefined })
  }
  const hinted = await outcomeOf(t, (_request, reply) => {
    reply.writeProcessing()
    reply.writeEarlyHints({ link: '</a>; rel=preload' })
    reply.writeHead(201).end()
  })
  t.match(hinted, { status: 201 })
})

t.test('Retry-After is read as seconds and as a date, and nothing else', async (t) => {
  const wait = async (value: string) => {
    const outcome = await outcomeOf(t, (_request, reply) => reply.writeHead(429, { 'retry-after': value }).end())
    t.equal(outcome.status, 429)
    return outcome.retry_after_seconds
  }
  t.equal(await wait('120'), 120)
  t.equal(await wait('0'), 0)
  t.equal(await wait('9'.repeat(400)), 86_400)
  const inTwoMinutes = await wait(new Date(Date.now() + 120_000).toUTCString())
  t.ok(inTwoMinutes && inTwoMinutes > 110 && inTwoMinutes <= 120, `${inTwoMinutes}`)
  t.equal(await wait('Fri, 31 Dec 1999 23:59:59 GMT'), 0)
  for (const other of ['-5', '1.5', 'soon', 'GMT', '']) t.equal(await wait(other), undefined, other)
})

t.test('no redirect is followed', async (t) => {
  let visits = 0
  const canary = `http://127.0.0.1:${await listen(
    t,
    createServer((_request, reply) => {
      visits++
      reply.end()
    }),
  )}/`
  for (const status of [300, 301, 302, 303, 307, 308]) {
    const outcome = await outcomeOf(t, (_request, reply) => reply.writeHead(status, { location: canary }).end())
    t.match(outcome, { status, error: 'redirects are not followed' })
  }
  t.equal(visits, 0)
  const port = await listen(
    t,
    createServer((_request, reply) => reply.writeHead(307, { location: canary }).end()),
  )
  await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body: '{}' })
  t.equal(visits, 1, 'somebody who follows gets there')
})

t.test('of a reply 4 kB are read, and the rest is refused', async (t) => {
  const dropped = Promise.withResolvers<boolean>()
  const large = await outcomeOf(t, (request, reply) => {
    request.socket.on('close', () => dropped.resolve(!reply.writableFinished))
    reply.end(Buffer.alloc(10e6, 'a'))
  })
  t.match(large, { status: 200, reply: 'a'.repeat(4096), error: undefined })
  t.equal(large.reply.length, 4096)
  t.ok(await dropped.promise, 'the connection ended before the reply did')
  const endless = await outcomeOf(t, (_request, reply) => {
    const more = () => {
      while (!reply.destroyed && reply.write('b'.repeat(1000)));
    }
    reply.on('drain', more)
    more()
  })
  t.equal(endless.reply, 'b'.repeat(4096))
  const text = async (bytes: Buffer) => (await outcomeOf(t, (_request, reply) => reply.end(bytes))).reply
  t.equal(await text(Buffer.from('a\0b')), 'a\uFFFDb', 'a database keeps no NUL')
  t.equal(await text(Buffer.from(`${'a'.repeat(4095)}\u00e9`)), 'a'.repeat(4095), 'no half character')
  t.ok(Buffer.byteLength(await text(Buffer.alloc(5000, 0xff))) <= 4096)
})

t.test('a receiver that breaks HTTP ends its own delivery', async (t) => {
  const broken: [(socket: Socket) => void, RegExp][] = [
    [(socket) => socket.resetAndDestroy(), /^the request failed: ECONNRESET$/],
    [(socket) => socket.end(), /^the request failed: ECONNRESET$/],
    [(socket) => socket.write('no HTTP\r\n\r\n'), /^the request failed: HPE_/],
    [(socket) => socket.write(`HTTP/1.1 200 OK\r\nA: ${'a'.repeat(9000)}\r\n\r\n`), /HPE_HEADER_OVERFLOW$/],
    [
      (socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n'),
      /no HTTP any more/,
    ],
  ]
  for (const [answer, error] of broken) {
    const outcome = await outcomeOfBytes(t, answer)
    t.match(outcome, { status: null, reply: '', error })
    t.ok(outcome.duration_ms < 5000)
  }
  const cut = await outcomeOfBytes(t, (socket) => {
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf', () => socket.resetAndDestroy())
  })
  t.equal(cut.status, 200, 'it has told that the message arrived')
  const closed = createTcpServer()
  const port = await listen(t, closed)
  closed.close()
  t.match(await sender(t)(`http://127.0.0.1:${port}/`), { status: null, error: 'the request failed: ECONNREFUSED' })
})

t.test('a connection has 3 s, and everything together 10 s', async (t) => {
  const drip = (socket: Socket, start: string) => {
    socket.write(start)
    const timer = setInterval(() => socket.write('a'), 100)
    socket.on('close', () => clearInterval(timer))
  }
  const silent = await listen(t, createTcpServer())
  const lookup = () => new Promise<string[]>(() => {})
  const [headers, body, nothing, handshake, dns] = await Promise.all([
    outcomeOfBytes(t, (socket) => drip(socket, 'HTTP/1.1 200 OK\r\nA: ')),
    outcomeOfBytes(t, (socket) => drip(socket, 'HTTP/1.1 200 OK\r\n\r\n')),
    sender(t)(`http://127.0.0.1:${silent}/`),
    sender(t)(`https://127.0.0.1:${silent}/`),
    sender(t, { lookup })('https://hooks.example.com/'),
  ])
  for (const late of [headers, nothing, dns]) {
    t.match(late, { status: null, reply: '', error: 'no reply within 10 s' })
    t.ok(late.duration_ms >= 9900 && late.duration_ms < 12_000, `${late.duration_ms}`)
  }
  t.match(body, { status: 200, reply: /^a{50,}$/, error: undefined })
  t.ok(body.duration_ms >= 9900 && body.duration_ms < 12_000, `${body.duration_ms}`)
  t.match(handshake, { status: null, error: 'no connection within 3 s' })
  t.ok(handshake.duration_ms >= 2900 && handshake.duration_ms < 5000, `${handshake.duration_ms}`)
})

t.test('TLS proves the name of the host, and not its address', async (t) => {
  const own = await makeCertificate(t.testdir({}), 'DNS:hooks.example.com,IP:127.0.0.1')
  const names: unknown[] = []
  const server = createTlsServer(own, (_request, reply) => reply.end('ok'))
  server.on('secureConnection', (socket) => names.push(Reflect.get(socket, 'servername')))
  const port = await listen(t, server)
  const { lookup } = await startZone(t, {
    'hooks.example.com': [['127.0.0.1']],
    'other.example.com': [['127.0.0.1']],
  })
  const trusting = sender(t, { lookup, ca: own.cert })
  t.match(await trusting(`https://hooks.example.com:${port}/`), { status: 200, reply: 'ok' })
  t.match(await trusting(`https://127.0.0.1:${port}/`), { status: 200, reply: 'ok' })
  t.strictSame(names, ['hooks.example.com', false])
  const misnamed = await trusting(`https://other.example.com:${port}/`)
  t.match(misnamed, { status: null, error: 'the request failed: ERR_TLS_CERT_ALTNAME_INVALID' })
  const selfSigned = await sender(t, { lookup })(`https://hooks.example.com:${port}/`)
  t.match(selfSigned, { status: null, error: 'the request failed: DEPTH_ZERO_SELF_SIGNED_CERT' })
})

t.test('each delivery asks DNS once, and has a connection of its own to what it was told', async (t) => {
  const places: string[] = []
  const server = createServer((request, reply) => {
    places.push(`${request.socket.localAddress}`)
    reply.end()
  })
  const port = await listen(t, server, '0.0.0.0')
  const { lookup, asked } = await startZone(t, {
    'moving.example.com': [['127.0.0.1'], ['127.0.0.2'], ['10.0.0.1']],
  })
  const send = sender(t, { lookup })
  const url = `http://moving.example.com:${port}/`
  t.match(await send(url), { status: 200 })
  t.match(await send(url), { status: 200 })
  t.match(await send(url), { status: null, error: /public/ })
  t.strictSame(places, ['127.0.0.1', '127.0.0.2'])
  t.equal(asked('moving.example.com'), 3)
})

t.test('the next address of a host is tried', async (t) => {
  const port = await listen(
    t,
    createServer((_request, reply) => reply.end()),
  )
  const { lookup } = await startZone(t, { 'two.example.com': [['127.0.0.2', '127.0.0.1']] })
  t.match(await sender(t, { lookup })(`http://two.example.com:${port}/`), { status: 200 })
})

t.test('what cannot be sent is told and not thrown', async (t) => {
  const { sendWebhook, close } = createSender({ allowLoopback: true })
  t.teardown(close)
  const good = message('http://127.0.0.1:9/')
  t.match(await sendWebhook({ ...good, id: 'a\r\nb' }), { status: null, error: /ERR_INVALID_CHAR/ })
  t.match(await sendWebhook({ ...good, secrets: [{ kind: 'hmac', key: randomBytes(3) }] }), { error: /24 to 64/ })
  t.match(await createSender().sendWebhook(good), { status: null, error: /^The URL must start with https/ })
})

t.test('closing ends what is on its way', async (t) => {
  const arrived = Promise.withResolvers<void>()
  const server = createServer(() => arrived.resolve())
  const port = await listen(t, server)
  const { sendWebhook, close } = createSender({ allowLoopback: true })
  const sending = sendWebhook(message(`http://127.0.0.1:${port}/`))
  await arrived.promise
  close()
  t.match(await sending, { status: null, error: 'the sender is closed' })
  t.match(await sendWebhook(message(`http://127.0.0.1:${port}/`)), { error: 'the sender is closed' })
  if (server.listening) server.closeAllConnections()
  server.close()
  await once(server, 'close')
})
