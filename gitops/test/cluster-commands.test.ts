import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { canRender, kustomizeMissing } from '../src/kustomize.ts'
import { gitopsRoot } from '../src/render.ts'
import { type CertificateSpec, createAuthority, type Issued, newPrivateKey } from './cluster/certificates.ts'
import { startFromManifest } from './cluster/database.ts'
import { containerOf, type Find, readManifests, secretsAt } from './cluster/manifests.ts'
import { askRedis, hasRedis, redisMissing, startRedisFromManifest } from './cluster/redis.ts'

const mount = '/etc/orders/secrets/database'
const contextMount = '/etc/orders/secrets/context'
const guestsMount = '/etc/orders/secrets/guests'
const redisMount = '/etc/orders/secrets/redis'
const root = join(gitopsRoot, '..')
const issue = await createAuthority()

/**
 * The files of a pod's database folder, issued as the manifests say, with the address that the template makes; and the
 * context key, the same for all pods.
 */
async function secretFolder(t: Test, find: Find, kind: string, name: string, values: Record<string, string>) {
  const [source = ''] = secretsAt(find, kind, name, contextMount)
  const contextKey = readContextKey(find, source)
  const [store = '', tls = ''] = secretsAt(find, kind, name, mount)
  const { template } = find('ExternalSecret', store).spec.target
  const folder = t.testdir({})
  const url = (template.data.url as string)
    .replace(/\{\{ \.(\w+) \}\}/g, (_, key: string) => {
      const value = values[key]
      if (value === undefined) throw new Error(`${store} wants ${key}, which is not among its data`)
      return value
    })
    .replaceAll(mount, folder)
  const certificate = find('Certificate', tls.replace(/-tls$/, '')).spec as CertificateSpec
  await mkdir(folder, { recursive: true })
  const files = { url, key: contextKey, ...(await issue(certificate)) }
  for (const [file, text] of Object.entries(files)) {
    await writeFile(join(folder, file), text)
  }
  return { folder, url }
}

let contextKey: string | undefined

/** Returns the private key that cert-manager makes for an ExternalSecret, as the manifests ask for it. */
function readContextKey(find: Find, name: string): string {
  const [{ remoteRef }] = find('ExternalSecret', name).spec.data
  contextKey ??= newPrivateKey(find('Certificate', remoteRef.key).spec.privateKey)
  return contextKey
}

/** Writes the file of guests' keys, with the key that the manifests ask for, and answers where it is. */
async function writeGuestKeys(t: Test, find: Find, folder: string): Promise<string> {
  const [name = ''] = secretsAt(find, 'Deployment', 'orders-api', guestsMount)
  const [{ secretKey, remoteRef }] = find('ExternalSecret', name).spec.data
  const { privateKey, secretName } = find('Certificate', remoteRef.key).spec
  t.strictSame([secretName, remoteRef.property], [remoteRef.key, 'tls.key'], 'the key that cert-manager makes')
  await writeFile(join(folder, secretKey), newPrivateKey(privateKey))
  return join(folder, secretKey)
}

/** Starts a container's command as a pod would have it, here: with its files in `folder` and other ports. */
function start(find: Find, kind: string, name: string, folder: string, changes: Record<string, string> = {}) {
  const { container, env } = containerOf(find, kind, name)
  const [command = '', ...args] = [...container.command, ...container.args]
  const moved = Object.fromEntries(
    Object.entries(env).map(([key, value]) => [key, value.replace(mount, folder).replace(contextMount, folder)]),
  )
  const child = spawn(command === 'node' ? process.execPath : command, args, {
    cwd: root,
    env: { PATH: process.env.PATH, ...moved, ...changes },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return { child, said: collect(child) }
}

function collect(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (text += chunk))
  return () => text
}

async function freePort(): Promise<string> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return String(port)
}

/** A proxy that stands for the Gateway: TLS outside, HTTP inside. */
async function startGateway(t: Test, { 'tls.crt': cert, 'tls.key': key }: Issued, port: string) {
  const server = createServer({ cert, key }, (incoming, answer) => {
    const { method, url: path, headers } = incoming
    const inner = httpRequest({ port, method, path, headers }, (got) => {
      answer.writeHead(got.statusCode ?? 502, got.headers)
      got.pipe(answer)
    })
    incoming.pipe(inner)
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

t.test('the commands of the manifests run as the manifests say', async (t) => {
  if (!(await canRender())) {
    t.comment(kustomizeMissing)
    return
  }
  const find = await readManifests(join(gitopsRoot, 'apps/orders/overlays/local'))
  const serverSpec = find('Certificate', 'orders-database-server').spec as CertificateSpec
  const service = 'orders-database-rw'
  t.ok(serverSpec.dnsNames?.includes(service), 'the server has the name that clients call')
  const reachable = {
    ...serverSpec,
    dnsNames: (serverSpec.dnsNames ?? []).map((it) => (it === service ? 'localhost' : it)),
  }
  const database = await startFromManifest(t, find('Cluster', 'orders-database'), await issue(reachable))
  const values = { host: 'localhost', port: String(database.port), dbname: database.name, username: database.owner }

  await t.test('migrate', async (t) => {
    const { folder } = await secretFolder(t, find, 'Job', 'orders-migrate', values)
    const { child, said } = start(find, 'Job', 'orders-migrate', folder)
    const [code] = await once(child, 'close')
    t.equal(code, 0, { said: said() })
  })

  const { folder, url } = await secretFolder(t, find, 'Deployment', 'orders-api', values)
  const [port, adminPort] = [await freePort(), await freePort()]
  t.strictSame(secretsAt(find, 'Deployment', 'orders-api', redisMount), ['orders-redis', 'orders-redis-tls'])
  const redis = hasRedis ? await startRedisFromManifest(t, find, issue, await freePort()) : undefined
  const { env } = containerOf(find, 'Deployment', 'orders-api')
  const ofRedis = (name: string) => (redis === undefined ? '' : (env[name]?.replace(redisMount, redis) ?? ''))
  const { child, said } = start(find, 'Deployment', 'orders-api', folder, {
    HOST: '127.0.0.1',
    PORT: port,
    ADMIN_PORT: adminPort,
    GUEST_KEYS_FILE: await writeGuestKeys(t, find, folder),
    REDIS_URL_FILE: ofRedis('REDIS_URL_FILE'),
    NODE_EXTRA_CA_CERTS: ofRedis('NODE_EXTRA_CA_CERTS'),
  })
  t.teardown(() => child.kill('SIGKILL'))
  const { startupProbe, readinessProbe, livenessProbe } = containerOf(find, 'Deployment', 'orders-api').container

  await t.test('serve', async (t) => {
    for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
      t.equal(await firstStatus(child, `http://127.0.0.1:${port}${probe?.httpGet.path}`), 200, { said: said() })
    }
    t.equal((await fetch(`http://127.0.0.1:${port}/api/v1/orders`)).status, 401, 'nobody comes in without a token')
    const { path } = find('ServiceMonitor', 'orders-api').spec.endpoints[0]
    const scraped = await fetch(`http://127.0.0.1:${adminPort}${path}`)
    t.match(await scraped.text(), /^orders_placed_total /m)
    t.equal((await fetch(`http://127.0.0.1:${port}${path}`)).status, 404, 'metrics left the public port')
    const { rows } = await database.admin.query(
      `SELECT DISTINCT usename, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'orders'`,
    )
    t.strictSame(rows, [{ usename: 'orders_api', ssl: true }])
  })

  await t.test('count in Redis, over TLS, as a user of few rights', async (t) => {
    if (redis === undefined) return t.comment(redisMissing)
    const address = (await readFile(join(redis, 'url'), 'utf8')).trim()
    const metrics = `http://127.0.0.1:${adminPort}/metrics`
    await until(async () => /^orders_rate_limits_shared 1$/m.test(await (await fetch(metrics)).text()))
    const ca = await readFile(join(redis, 'ca.crt'), 'utf8')
    t.equal(await askRedis(address, ca, 'GET orders:limit:none'), '$-1', 'its own keys')
    t.match(await askRedis(address, ca, 'GET other'), /NOPERM/, 'no other keys')
    t.match(await askRedis(address, ca, 'FLUSHALL'), /NOPERM/, 'no other commands')
    t.match(await askRedis(address.replace('//orders:', '//default:'), ca, 'PING'), /WRONGPASS|NOAUTH/, 'no other user')
    const stranger = (await (await createAuthority())({ commonName: 'stranger', usages: [] }))['ca.crt']
    await t.rejects(askRedis(address, stranger, 'PING'), /certificate/, 'no certificate of another authority')
  })

  await t.test('work, as a user of its own', async (t) => {
    const own = await secretFolder(t, find, 'Deployment', 'orders-worker', values)
    const adminPort = await freePort()
    const { child, said } = start(find, 'Deployment', 'orders-worker', own.folder, { ADMIN_PORT: adminPort })
    t.teardown(() => child.kill('SIGKILL'))
    const { startupProbe, readinessProbe, livenessProbe } = containerOf(find, 'Deployment', 'orders-worker').container
    for (const probe of [startupProbe, livenessProbe, readinessProbe]) {
      t.equal(await firstStatus(child, `http://127.0.0.1:${adminPort}${probe?.httpGet.path}`), 200, { said: said() })
    }
    const { path } = find('ServiceMonitor', 'orders-worker').spec.endpoints[0]
    t.match(await (await fetch(`http://127.0.0.1:${adminPort}${path}`)).text(), /^orders_events_lag_seconds 0$/m)
    const { rows } = await database.admin.query(
      `SELECT DISTINCT ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE usename = 'orders_worker_login'`,
    )
    t.strictSame(rows, [{ ssl: true }])
    const service = new pg.Client(`${url}&options=-c%20role%3Dorders_worker`)
    await t.rejects(service.connect(), /permission denied to set role/, 'the service is in one organisation at a time')
    child.kill('SIGTERM')
    t.equal((await once(child, 'close'))[0], 0, { said: said() })
  })

  await t.test('smoke, over HTTPS', async (t) => {
    const names = find('HTTPRoute', 'orders-api').spec.hostnames as string[]
    const { container, env } = containerOf(find, 'Job', 'orders-smoke')
    t.equal(container.args.at(-1), `https://${names[0]}/`, 'the Job asks for the host of the route')
    const issued = await issue({ commonName: 'gateway', dnsNames: ['localhost'], usages: ['server auth'] })
    const outside = await startGateway(t, issued, port)
    const authority = join(t.testdir({ 'ca.crt': issued['ca.crt'] }), 'ca.crt')
    t.match(env.NODE_EXTRA_CA_CERTS, /\/ca\.crt$/)
    container.args.splice(-1, 1, `https://localhost:${outside}/`)
    const trusting = start(find, 'Job', 'orders-smoke', folder, { NODE_EXTRA_CA_CERTS: authority })
    t.equal((await once(trusting.child, 'close'))[0], 0, { said: trusting.said() })
    t.match(trusting.said(), / as guest-\d+\.$/m, 'in an organisation of its own')
    const doubting = start(find, 'Job', 'orders-smoke', folder, { NODE_EXTRA_CA_CERTS: '' })
    t.equal((await once(doubting.child, 'close'))[0], 1, 'an authority that it does not know is refused')
  })

  await t.test('only what the manifests let in comes in', async (t) => {
    const stranger = await issue({ commonName: 'stranger', usages: ['client auth'] })
    const strange = t.testdir(stranger)
    const refused = async (address: string) => {
      const client = new pg.Client(address)
      return client.connect().then(
        () => client.end().then(() => 'let in'),
        (error: Error) => error.message,
      )
    }
    t.equal(await refused(url), 'let in', 'the control: the service itself')
    t.match(await refused(url.replaceAll(folder, strange)), /certificate authentication failed/)
    const plain = new URL(url)
    plain.search = ''
    t.match(await refused(plain.href), /reject/, 'without TLS')
    t.match(await refused(url.replace('@localhost', '@127.0.0.1')), /altnames|does not match/i, 'under another name')
  })

  await t.test('SIGTERM ends it within the grace of the pod', async (t) => {
    const grace = find('Deployment', 'orders-api').spec.template.spec.terminationGracePeriodSeconds * 1000
    const started = performance.now()
    child.kill('SIGTERM')
    const [code] = await once(child, 'close')
    t.equal(code, 0, { said: said() })
    t.ok(performance.now() - started < grace)
  })
})

/** Waits until a condition holds. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await delay(50)
}

/** The status of the first answer. Throws when the process ends before there is one. */
async function firstStatus(child: ChildProcess, url: string): Promise<number> {
  while (child.exitCode === null) {
    const answer = await fetch(url).catch(() => undefined)
    if (answer) return answer.status
    await delay(50)
  }
  throw new Error(`ended with ${child.exitCode} before it answered`)
}
