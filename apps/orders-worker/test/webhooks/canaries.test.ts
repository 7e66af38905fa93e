import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { promisify } from 'node:util'
import t from 'tap'
import { inOwnNetwork } from './canaries.ts'
import { makeCertificate } from './servers.ts'

const program = new URL('canaries-process.ts', import.meta.url).pathname

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return String(port)
}

t.test('no byte reaches what is inside, and without the guard many do', async (t) => {
  const folder = t.testdir({})
  await makeCertificate(folder, 'DNS:hooks.example.com,IP:93.184.215.14')
  const network = await inOwnNetwork()
  const port = await freePort()
  const canary = `http://127.0.0.1:${port}`
  // An environment that tries to mislead: a proxy, and certificates that nobody checks.
  const env = {
    PATH: process.env.PATH,
    NODE_USE_ENV_PROXY: '1',
    HTTP_PROXY: canary,
    HTTPS_PROXY: canary,
    http_proxy: canary,
    https_proxy: canary,
    NODE_TLS_REJECT_UNAUTHORIZED: '0',
  }
  const [command = '', ...args] = [...network, process.execPath, '--no-warnings', program, folder, port]
  const { stdout } = await promisify(execFile)(command, args, { env, maxBuffer: 1e8 })
  const report = JSON.parse(stdout)
  t.comment(`${report.urls} URLs, ${report.canaries} canaries`, network.length > 0 ? 'in a network of their own' : '')

  t.ok(report.urls >= 1000)
  const allowed = (urls: string[]) => urls.filter((url: string) => !url.startsWith('https://rebinding-'))
  t.strictSame(allowed(report.allowedAtRegistration), [], 'at registration only names that are public then pass')
  t.ok(report.allowedAtRegistration.length > 0, 'rebinding names are public once')
  t.strictSame(report.sentTo, [], 'at delivery none does')
  t.strictSame(report.guarded, { connections: 0, bytes: 0, at: [] })

  t.comment(`without the guard: ${report.unguarded.connections} connections, ${report.unguarded.bytes} bytes`)
  t.ok(report.unguarded.connections > 10)
  t.ok(report.unguarded.bytes > 1000)
  t.ok(report.byProxy > 0, 'the environment does mislead those who listen to it')
  if (network.length === 0) return
  t.ok(report.canaries >= 20)
  t.equal(report.unguarded.at.length, report.canaries, 'every canary can be reached')
  t.match(report.received, {
    byName: { status: 200, reply: 'thank you' },
    byAddress: { status: 200, reply: 'thank you' },
    untrusted: { status: null, error: 'the request failed: DEPTH_ZERO_SELF_SIGNED_CERT' },
    heard: 0,
  })
})
