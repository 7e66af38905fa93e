/**
 * Runs what compose.yaml puts together, part by part, on this machine: its syntax by Compose, the API with its
 * settings, and Prometheus with its configuration and the alert rules. Needs Debian's prometheus and docker-compose.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { startEmbeddedPostgres } from '@orders/database/embedded'
import pg from 'pg'
import t from 'tap'
import { parse } from 'yaml'
import { freePort, untilReady } from './service.ts'

const root = join(import.meta.dirname, '../..')
const folder = join(root, 'infra/compose')
const text = readFileSync(join(folder, 'compose.yaml'), 'utf8')
const rules = join(root, 'gitops/apps/orders/components/monitoring/generated/orders.rules.yaml')

/** Compose itself, the plugin or Debian's older one, which does not know `name` yet. */
function config(yaml: string) {
  const plugin = spawnSync('docker', ['compose', 'version']).status === 0
  const [program, ...first] = plugin ? ['docker', 'compose'] : ['docker-compose']
  const input = plugin ? yaml : yaml.replace(/^name:.*$/m, '')
  const args = [...first, '--file', '-', '--project-directory', folder, 'config', '--quiet']
  return spawnSync(program ?? '', args, { input, encoding: 'utf8' })
}

t.test('Compose takes it, and would refuse a mistake', async (t) => {
  t.match(config(text), { status: 0 })
  t.match(config(text.replace('healthcheck:', 'healthchecks:')), { status: /[^0]/ })
  t.match(config(text.replace('cap_drop: [ALL]', 'cap_drop: ALL')), { status: /[^0]/ })
})

type Services = Record<string, { environment: { DATABASE_URL: string } }>

/** Runs what a new database of Compose runs first, and returns the addresses of its logins by the name of the part. */
async function createLogins(url: string, services: Services): Promise<Record<string, string>> {
  const admin = new pg.Client(url)
  await admin.connect()
  await admin.query(readFileSync(join(folder, 'database/roles.sql'), 'utf8'))
  const logins: Record<string, string> = {}
  for (const part of ['migrate', 'api', 'worker']) {
    const { username } = new URL(services[part]?.environment.DATABASE_URL ?? '')
    await admin.query(`ALTER ROLE ${username} PASSWORD 'secret'`)
    const address = Object.assign(new URL(url), { username, password: 'secret' })
    logins[part] = address.href
  }
  await admin.end()
  return logins
}

t.test('Prometheus scrapes the service under the labels of the rules, and takes every rule', async (t) => {
  const work = mkdtempSync(join(tmpdir(), 'orders-compose-'))
  const running: ChildProcess[] = []
  const postgres = await startEmbeddedPostgres({ dataDir: join(work, 'cluster'), disposable: true })
  t.teardown(async () => {
    for (const child of running) child.kill('SIGTERM')
    await Promise.all(running.map((child) => child.exitCode ?? once(child, 'exit')))
    await postgres.stop()
    rmSync(work, { recursive: true, force: true })
  })
  const { services } = parse(text, { merge: true })
  const [port, admin, workerAdmin, own] = [await freePort(), await freePort(), await freePort(), await freePort()]
  const logins = await createLogins(postgres.url, services)
  const context = { CONTEXT_KEY: 'a random text of at least 32 characters', CONTEXT_KEY_FILE: '' }
  const given = {
    ...services.api.environment,
    ...context,
    DATABASE_URL: logins.api,
    PORT: `${port}`,
    ADMIN_PORT: `${admin}`,
  }
  const env = { PATH: process.env.PATH, ...given, DRAIN_DELAY_MS: '0' }
  const migrateEnv = { ...env, DATABASE_URL: logins.migrate }
  execFileSync(process.execPath, services.migrate.command, { cwd: root, env: migrateEnv, stdio: 'pipe' })
  running.push(spawn(process.execPath, ['apps/orders-api/src/server.ts'], { cwd: root, env, stdio: 'ignore' }))
  await untilReady(`http://127.0.0.1:${port}/readyz`)
  const workerEnv = {
    PATH: process.env.PATH,
    ...services.worker.environment,
    ...context,
    DATABASE_URL: logins.worker,
    ADMIN_PORT: `${workerAdmin}`,
  }
  running.push(spawn(process.execPath, services.worker.command, { cwd: root, env: workerEnv, stdio: 'ignore' }))
  await untilReady(`http://127.0.0.1:${workerAdmin}/readyz`)

  const settings = readFileSync(join(folder, 'prometheus/prometheus.yml'), 'utf8')
  writeFileSync(
    join(work, 'prometheus.yml'),
    settings.replace('api:9090', `127.0.0.1:${admin}`).replace('worker:9090', `127.0.0.1:${workerAdmin}`),
  )
  copyFileSync(rules, join(work, 'orders.rules.yaml'))
  const options = [`--config.file=${work}/prometheus.yml`, `--storage.tsdb.path=${work}/data`]
  const listen = `--web.listen-address=127.0.0.1:${own}`
  running.push(spawn('prometheus', [...options, listen], { stdio: 'ignore' }))
  await untilReady(`http://127.0.0.1:${own}/-/ready`)

  // biome-ignore lint/suspicious/noExplicitAny: the assertions say what they expect of the answer
  const ask = async (path: string): Promise<any> => {
    const { data } = (await (await fetch(`http://127.0.0.1:${own}/api/v1/${path}`)).json()) as { data: unknown }
    return data
  }
  const up = encodeURIComponent('up{job=~"orders-(api|worker)",namespace="orders-local"} == 1')
  for (const end = Date.now() + 30_000; (await ask(`query?query=${up}`)).result.length < 2; await delay(200)) {
    if (Date.now() > end) throw new Error('Prometheus did not scrape the API and the worker in 30 s.')
  }
  const expected = parse(readFileSync(rules, 'utf8')).groups.flatMap((group: { rules: object[] }) => group.rules)
  type Rule = { health: string; lastError?: string }
  const loaded = async () => (await ask('rules')).groups.flatMap(({ rules }: { rules: Rule[] }) => rules) as Rule[]
  for (const end = Date.now() + 30_000; (await loaded()).some(({ health }) => health === 'unknown'); await delay(200)) {
    if (Date.now() > end) throw new Error('Prometheus did not evaluate the rules in 30 s.')
  }
  t.equal((await loaded()).length, expected.length)
  t.ok(expected.length >= 6)
  t.strictSame(
    (await loaded()).filter(({ health }) => health !== 'ok'),
    [],
  )
})
