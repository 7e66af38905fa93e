/**
 * Runs the image `orders-api:latest` (ORDERS_IMAGE names another one) the way a cluster does, against a PostgreSQL of
 * its own. `npx nx run orders-api:image` builds it.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startEmbeddedPostgres } from '@orders/database/embedded'
import t, { type Test } from 'tap'
import { readImage, readLock } from '../src/check-image.ts'
import { findings } from '../src/image-rules.ts'
import { freePort, untilReady } from './service.ts'

const root = join(import.meta.dirname, '../..')
const image = process.env.ORDERS_IMAGE ?? 'orders-api:latest'
const confined = ['--read-only', '--cap-drop=ALL', '--security-opt=no-new-privileges', '--user=10001:10001']
const limits = ['--network=host', '--tmpfs=/tmp:size=64m,noexec', '--env=NODE_OPTIONS=--max-old-space-size=256']

const docker = (...args: string[]) => {
  const { status, stdout, stderr } = spawnSync('docker', args, { encoding: 'utf8' })
  return { status, stdout, stderr }
}

t.before(() => {
  if (docker('image', 'inspect', image).status === 0) return
  throw new Error(`Docker has no ${image}: run npx nx run orders-api:image first.`)
})

t.test('the image holds what its process needs and no more', async (t) => {
  t.strictSame(findings(readImage(image), 'orders-api', readLock(root)), [])
})

t.test('what does not belong in an image is found in it', async (t) => {
  const context = mkdtempSync(join(tmpdir(), 'orders-bad-image-'))
  const bad = `orders-api-bad:${process.pid}`
  t.teardown(() => {
    rmSync(context, { recursive: true })
    docker('rmi', '--force', bad)
  })
  const planted = ['.git/HEAD', '.npm/_cacache/x', 'node_modules/tap/package.json', 'apps/orders-api/test/x.test.ts']
  for (const path of planted) {
    mkdirSync(join(context, 'opt/orders', path, '..'), { recursive: true })
    writeFileSync(join(context, 'opt/orders', path), '')
  }
  const dockerfile = `FROM ${image}\nCOPY opt /opt\nUSER 0\n`
  execFileSync('docker', ['build', '--quiet', '--tag', bad, '--file', '-', context], {
    input: dockerfile,
    stdio: 'pipe',
  })
  const found = findings(readImage(bad), 'orders-api', readLock(root))
  const named = (path: string) => found.some((sentence) => sentence.startsWith(path))
  for (const path of [
    'opt/orders/.git/HEAD',
    'opt/orders/.npm/_cacache/x',
    'opt/orders/apps/orders-api/test/x.test.ts',
  ]) {
    t.ok(named(path), path)
  }
  t.ok(named('node_modules/tap is for development only'))
  t.ok(found.includes('It runs as 0, not as 10001:10001.'))
})

/** The worker is another command of the same image. */
async function worksFrom(t: Test, options: string[]) {
  const port = await freePort()
  const name = `orders-worker-test-${process.pid}`
  t.teardown(() => docker('rm', '--force', name))
  const command = [`--env=ADMIN_PORT=${port}`, image, 'apps/orders-worker/src/worker.ts']
  const { status, stderr } = docker('run', '--detach', '--name', name, ...options, ...command)
  t.equal(status, 0, stderr)
  await untilReady(`http://127.0.0.1:${port}/readyz`)
  t.match(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text(), /^orders_events_lag_seconds \d/m)
  t.equal(docker('stop', '--time=30', name).status, 0)
  t.equal(docker('inspect', '--format', '{{.State.ExitCode}}', name).stdout.trim(), '0', 'SIGTERM ends it')
}

t.test('it migrates, serves, keeps an order and drains, without a right it does not need', async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'orders-image-data-'))
  const postgres = await startEmbeddedPostgres({ dataDir: join(dataDir, 'cluster'), disposable: true })
  const secret = join(dataDir, 'url')
  writeFileSync(secret, `${postgres.url}\n`, { mode: 0o644 })
  const keys = join(dataDir, 'keys')
  const { privateKey } = generateKeyPairSync('ed25519')
  writeFileSync(keys, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o644 })
  const [port, adminPort] = [await freePort(), await freePort()]
  const name = `orders-api-test-${process.pid}`
  t.teardown(async () => {
    docker('rm', '--force', name)
    await postgres.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const database = [`--volume=${secret}:/etc/orders/secrets/database/url:ro`]
  const given = [...database, '--env=DATABASE_URL_FILE=/etc/orders/secrets/database/url']
  const run = (...args: string[]) => docker('run', '--rm', ...confined, ...limits, ...given, ...args)

  const early = run(`--env=PORT=${port}`, image)
  t.equal(early.status, 1, 'refuses to serve a database without a schema')
  t.match(early.stderr, /\.\n$/)

  t.match(run(image, 'packages/database/src/migrate-cli.ts'), { status: 0, stdout: /^Migrated: 0001-orders$/m })
  t.match(run(image, 'packages/database/src/migrate-cli.ts'), { status: 0, stdout: /up to date/ }, 'and again')

  const guests = [`--volume=${keys}:/etc/orders/secrets/guests/keys:ro`, '--env=AUTH_MODE=required']
  const keysFile = '--env=GUEST_KEYS_FILE=/etc/orders/secrets/guests/keys'
  const ports = [`--env=PORT=${port}`, `--env=ADMIN_PORT=${adminPort}`, '--env=DRAIN_DELAY_MS=1000']
  const settings = [...ports, ...guests, keysFile]
  const started = performance.now()
  const detached = docker('run', '--detach', '--name', name, ...confined, ...limits, ...given, ...settings, image)
  t.equal(detached.status, 0, detached.stderr)
  const url = `http://127.0.0.1:${port}`
  await untilReady(`${url}/readyz`)
  t.comment(`ready ${Math.round(performance.now() - started)} ms after docker run`)

  const label = (name: string) => `{{index .Config.Labels "org.opencontainers.image.${name}"}}`
  const labels = docker('image', 'inspect', '--format', `${label('version')} ${label('revision')}`, image).stdout.trim()
  const [version, commit = ''] = labels.split(' ')
  t.strictSame(await (await fetch(`${url}/version`)).json(), { version, commit })
  t.match(await (await fetch(url, { headers: { accept: 'text/html' } })).text(), /<h1/)
  t.match(run(image, 'apps/orders-api/src/smoke.ts', url, '--commit', commit), {
    status: 0,
    stdout: /^Placed, read back .+ as guest-/,
  })
  const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  t.match(metrics, /^http_requests_total\{method="POST",handler="\/api\/v1\/orders",status="201"\} 1$/m)

  await worksFrom(t, [...confined, ...limits, ...given])
  const stopped = docker('stop', '--time=30', name)
  t.equal(stopped.status, 0)
  const state = docker('inspect', '--format', '{{.State.ExitCode}} {{.State.OOMKilled}}', name)
  t.equal(state.stdout.trim(), '0 false', 'SIGTERM drains and ends it')
})
