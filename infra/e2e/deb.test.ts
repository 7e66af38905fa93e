/**
 * Installs the package that `npx nx run orders-api:deb` built last (ORDERS_DEB names another one) on this machine, sees
 * it answer, upgrades and purges it. Needs root on Debian. Where systemd does not run, the units' own commands are run as
 * their user.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { untilReady } from './service.ts'

const built = join(import.meta.dirname, '../../apps/orders-api/.data')
// Their names sort by the time of their commit.
const deb = process.env.ORDERS_DEB ?? globSync(`${built}/orders_*.deb`).sort().at(-1) ?? ''
const underSystemd = existsSync('/run/systemd/system')
const url = 'http://localhost:8000'
const adminPort = 19464
const keys = '/etc/orders/guest-keys.json'
const [service, worker] = ['/lib/systemd/system/orders.service', '/lib/systemd/system/orders-worker.service']
const files = ['/opt/orders', service, worker, '/etc/orders/orders.env', '/var/lib/orders', keys]
const folders = ['/opt/orders', '/etc/orders', '/var/lib/orders']
const units = ['orders', 'orders-worker', 'orders-database', 'orders-migrate'].map(
  (name) => `/lib/systemd/system/${name}.service`,
)
/** Contains the version of the package under test. Only root can write this file, and it survives a reboot. */
const markerFile = '/var/lib/orders-check-deb'

const run = (program: string, ...args: string[]) => {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', env })
  return { status, stdout, stderr }
}
const user = () => run('getent', 'passwd', 'orders').status === 0

/** What systemd would make of a unit, without its sandbox: the command, as the user, with the environment. */
function startUnit(name: string): ChildProcess {
  const unit = readFileSync(`/lib/systemd/system/${name}`, 'utf8')
  const values = (key: string) => [...unit.matchAll(new RegExp(`^${key}=(.*)$`, 'gm'))].map(([, value = '']) => value)
  const lines = values('EnvironmentFile').flatMap((file) =>
    existsSync(file.replace(/^-/, '')) ? readFileSync(file.replace(/^-/, ''), 'utf8').split('\n') : [],
  )
  const unset = values('UnsetEnvironment')
  const given = [...values('Environment'), ...lines.filter((line) => /^[A-Z]/.test(line))].filter(
    (line) => !unset.includes(line.replace(/=.*/s, '')),
  )
  const rights = ['--reuid=orders', '--regid=orders', '--init-groups', '--no-new-privs', '--bounding-set=-all']
  const command = ['setpriv', ...rights, ...(values('ExecStart')[0] ?? '').split(' ')]
  // Nothing of this process's environment, as under systemd.
  return spawn('env', ['--ignore-environment', 'PATH=/usr/bin:/bin', ...given, ...command], {
    cwd: values('WorkingDirectory')[0],
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

/** Waits until the worker has confirmed an order, as it does with each that was placed. */
async function untilConfirmed(order: string, headers: Record<string, string>): Promise<void> {
  for (const end = Date.now() + 30_000; Date.now() < end; await delay(100)) {
    const { status } = (await (await fetch(order, { headers })).json()) as { status: string }
    if (status === 'confirmed') return
  }
  throw new Error('The worker did not confirm the order in 30 s.')
}

/** Also removes a half-unpacked package: dpkg has no maintainer scripts for it, so this deletes its files and user. */
function purge(): void {
  if (user()) run('pkill', '-KILL', '--uid', 'orders')
  run('dpkg', '--purge', '--force-remove-reinstreq', 'orders')
  if (installed() !== '') throw new Error('dpkg could not purge the package orders: see dpkg --status orders.')
  for (const path of [...folders, '/run/orders', ...units, ...units.map((unit) => `${unit}.dpkg-new`)])
    rmSync(path, { recursive: true, force: true })
  if (user()) run('deluser', '--quiet', '--system', 'orders')
  if (user()) throw new Error('The user orders cannot be removed: run deluser orders.')
  rmSync(markerFile, { force: true })
}

/** The version of the package that dpkg has, in whatever state; empty if there is none. */
const installed = () => run('dpkg-query', '--show', 'orders').stdout.trim().split('\t')[1] ?? ''

t.before(() => {
  if (process.getuid?.() !== 0) throw new Error('Installing a package needs root: run this as root.')
  if (!existsSync(deb)) throw new Error('There is no package yet: run npx nx run orders-api:deb first.')
  // Clean up after an earlier run of this test that was killed.
  const interrupted = existsSync(markerFile) ? readFileSync(markerFile, 'utf8') : undefined
  if (interrupted !== undefined && ['', interrupted].includes(installed())) purge()
  const paths = [...folders, ...units]
  if (user() || paths.some((path) => existsSync(path))) throw new Error('Orders is installed here: purge it first.')
  writeFileSync(markerFile, run('dpkg-deb', '--field', deb, 'Version').stdout.trim())
  t.teardown(purge)
})

t.test('it installs, and its units say nothing that systemd does not understand', async (t) => {
  t.match(run('apt-get', 'install', '--yes', '--no-install-recommends', deb), { status: 0 })
  for (const file of files) t.ok(existsSync(file), file)
  t.ok(user())
  t.equal(statSync('/opt/orders').uid, 0, 'the service cannot change itself')
  t.equal(statSync('/etc/orders/orders.env').mode & 0o777, 0o600)
  t.equal(statSync(keys).mode & 0o777, 0o640)
  const units = globSync('/lib/systemd/system/orders*.service')
  t.equal(units.length, 4)
  t.match(run('systemd-analyze', 'verify', '--man=no', ...units), { status: 0, stderr: '' })
  for (const unit of units) {
    const { stdout } = run('systemd-analyze', 'security', '--offline=true', '--no-pager', unit)
    const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout) ?? []
    t.comment(`${unit}: exposure ${exposure}`)
    t.ok(Number(exposure) < 2, 'systemd rates it as OK')
  }
})

t.test('it keeps an order over a restart', async (t) => {
  const running: ChildProcess[] = []
  t.teardown(() => {
    for (const child of running) child.kill('SIGTERM')
  })
  const start = async (name: string, says: string) => {
    const child = startUnit(name)
    running.push(child)
    for await (const chunk of child.stdout ?? []) if (String(chunk).includes(says)) return child
    throw new Error(`${name} ended without saying: ${says}`)
  }
  const end = async (child: ChildProcess) => {
    child.kill('SIGTERM')
    return once(child, 'exit')
  }
  const [, commit = ''] = /^Environment=ORDERS_COMMIT=(\w{40})$/m.exec(readFileSync(service, 'utf8')) ?? []
  t.ok(commit && deb.includes(commit.slice(0, 7)), 'it knows its commit')
  const smoke = () => run('/opt/orders/bin/node', '/opt/orders/apps/orders-api/src/smoke.ts', url, '--commit', commit)

  const orders = `${url}/api/v1/orders`
  const signIn = async (): Promise<Record<string, string>> => {
    const { access_token } = (await (await fetch(`${url}/api/v1/auth/guest`, { method: 'POST' })).json()) as {
      access_token: string
    }
    return { authorization: `Bearer ${access_token}` }
  }
  const place = async (headers: Record<string, string>) => {
    const body = JSON.stringify({ id: 'kept', amount: 1 })
    const answer = await fetch(orders, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body,
    })
    t.equal(answer.status, 201)
    t.equal((await fetch(orders)).status, 401, 'nobody comes in without a token')
    return headers
  }
  let guest: Record<string, string> = {}
  appendFileSync('/etc/orders/orders.env', `ADMIN_PORT=${adminPort}\n`)

  if (underSystemd) {
    await untilReady(`${url}/readyz`, 120_000)
    t.match(smoke(), { status: 0 })
    guest = await place(await signIn())
    t.match(run('systemctl', 'restart', 'orders', 'orders-worker'), { status: 0 })
    await untilReady(`${url}/readyz`, 120_000)
  } else {
    mkdirSync('/run/orders', { mode: 0o700 })
    run('chown', 'orders:orders', '/run/orders')
    const database = await start('orders-database.service', 'PostgreSQL is ready')
    await start('orders-migrate.service', 'Migrated: 0001-orders')
    const first = await start('orders.service', 'Orders is ready')
    t.match(smoke(), { status: 0, stdout: / as guest-/ })
    guest = await place(await signIn())
    t.strictSame(await end(first), [0, null], 'the service drains')
    t.strictSame(await end(database), [0, null], 'its database ends')
    await start('orders-database.service', 'PostgreSQL is ready')
    await start('orders-migrate.service', 'up to date')
    await start('orders.service', 'Orders is ready')
    await start('orders-worker.service', 'the worker is ready')
  }
  t.match(await (await fetch(url, { headers: { accept: 'text/html' } })).text(), /<h1/)
  // Its token is still good, so the keys were kept as well.
  const { data } = (await (await fetch(orders, { headers: guest })).json()) as { data: { id: string }[] }
  t.strictSame(
    data.map(({ id }) => id),
    ['kept'],
  )
  const metrics = await (await fetch(`http://localhost:${adminPort}/metrics`)).text()
  t.match(metrics, /^http_requests_total/m, 'the port is the one of the API, and the worker leaves it alone')
  await untilConfirmed(`${orders}/kept`, guest)
  for (const child of running.reverse()) if (child.exitCode === null) await end(child)
})

t.test('an upgrade keeps the settings, remove keeps the orders, purge keeps nothing', async (t) => {
  appendFileSync('/etc/orders/orders.env', 'PORT=8001\n')
  const made = readFileSync(keys, 'utf8')
  t.match(run('dpkg', '--install', '--force-confdef', deb), { status: 0 })
  t.equal(readFileSync(keys, 'utf8'), made)
  t.match(readFileSync('/etc/orders/orders.env', 'utf8'), /^PORT=8001$/m)

  t.match(run('dpkg', '--remove', 'orders'), { status: 0, stderr: '' })
  t.notOk(existsSync('/opt/orders'))
  t.ok(existsSync('/var/lib/orders/postgres/PG_VERSION'))
  t.ok(existsSync('/etc/orders/orders.env'))

  t.match(run('dpkg', '--purge', 'orders'), { status: 0 })
  for (const file of files) t.notOk(existsSync(file), file)
  t.notOk(user())
  const left = run('find', '/etc/systemd/system', '/var/lib/systemd/deb-systemd-helper-enabled', '-name', 'orders*')
  t.equal(left.stdout, '')
})
