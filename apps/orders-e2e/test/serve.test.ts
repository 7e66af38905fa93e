import { spawn } from 'node:child_process'
import { appendFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { makeCheckout, removeCheckout } from './serve/checkout.ts'
import { type Process, processes, survivors, threads } from './serve/processes.ts'
import { freePort, Service, until } from './serve/service.ts'

const checkout = makeCheckout()
const services: Service[] = []
t.teardown(async () => {
  for (const service of services) await service.destroy()
  removeCheckout(checkout)
})

async function start(env: NodeJS.ProcessEnv = {}, args: string[] = []): Promise<Service> {
  const service = new Service(checkout, await freePort(), env, args)
  services.push(service)
  return service
}

const lastLine = ({ output }: Service) => output.trimEnd().split('\n').at(-1) ?? ''

/** Starts and waits for the first answer. */
async function startReady(): Promise<Service> {
  const service = await start()
  await service.ready()
  return service
}

/** Waits until none of the processes runs, nor any other that belongs to the checkout. */
async function untilGone(before: Process[], timeoutMs = 5000): Promise<void> {
  const left = () => [...survivors(before), ...processes().filter(({ command }) => command.includes(checkout))]
  await until('no process left', timeoutMs, () => left().length === 0).catch((error) => {
    throw new Error(
      `${error.message}\n${left()
        .map(({ pid, command }) => `${pid} ${command}: ${threads(pid)}`)
        .join('\n')}`,
    )
  })
}

const runner = /^node apps\/orders-api\/src\/serve\.ts/
const server = /orders-api\/src\/server\.ts/
const postgres = /^\S*bin\/postgres -D/

t.test('a first start prepares a database, serves, and Ctrl-C leaves nothing', async (t) => {
  const service = await startReady()
  t.match(service.output, /Preparing a database in \.data\//)
  t.ok(existsSync(join(checkout, '.data/postgres/PG_VERSION')))
  const family = service.family()
  t.ok(family.some(({ command }) => postgres.test(command)))
  process.kill(-(service.child.pid ?? 0), 'SIGINT')
  await untilGone(family)
  t.equal(service.readyLines(), 1)
  const log = readFileSync(join(checkout, '.data/postgres/postgres.log'), 'utf8')
  t.match(log, /received fast shutdown request/)
  t.notMatch(log, /unexpectedly|reinitializing/, 'the database was asked to stop, not hit')
})

t.test('changed sources restart the server', async (t) => {
  const service = await startReady()
  t.notMatch(service.output, /Preparing/)
  const first = service.process(server)
  const database = service.process(postgres)

  const api = join(checkout, 'apps/orders-api/src/server.ts')
  const sound = readFileSync(api, 'utf8')
  t.teardown(() => writeFileSync(api, sound))
  // Editors save by renaming: the second save must be seen as well as the first.
  for (const count of [2, 3]) {
    writeFileSync(`${api}.tmp`, `${sound}\n`)
    renameSync(`${api}.tmp`, api)
    await service.ready(count)
  }
  appendFileSync(join(checkout, 'packages/database/src/index.ts'), '\n')
  await service.ready(4)
  t.equal(survivors([first]).length, 0, 'the old server is gone')
  t.equal(survivors([database]).length, 1, 'the database went on')
  t.notMatch(service.output, /EADDRINUSE/)

  t.comment('a change that cannot run waits for the next one')
  writeFileSync(api, 'this is not a program')
  await until('told', 30_000, () => /the next change starts it again/.test(service.output))
  writeFileSync(api, sound)
  await service.ready(5)

  t.comment('a killed database is started again')
  process.kill(database.pid, 'SIGKILL')
  await until('told', 30_000, () => /PostgreSQL ended unexpectedly/.test(service.output))
  await until('a new one', 30_000, () =>
    service.family().some(({ pid, command }) => postgres.test(command) && pid !== database.pid),
  )

  const family = service.family()
  service.child.kill('SIGTERM')
  await untilGone(family)
})

const killed: [string, (service: Service) => number][] = [
  ['npm', (service) => service.child.pid ?? 0],
  ['the runner', (service) => service.process(runner).pid],
  ['the server', (service) => service.process(server).pid],
]
for (const [name, find] of killed) {
  t.test(`kill -9 of ${name} leaves no process and the next start works`, async (t) => {
    const service = await startReady()
    const family = service.family()
    t.ok(family.some(({ command }) => postgres.test(command)))
    process.kill(find(service), 'SIGKILL')
    await untilGone(family)
    t.same(
      processes().filter(({ command }) => command.includes(checkout)),
      [],
    )
    if (name === 'the server') {
      t.match(service.output, /The server was killed by SIGKILL/)
      t.not(await service.exited, 0)
    }
  })
}

t.test('a later start prepares no database and compiles no source again', async (t) => {
  const cache = join(checkout, 'node_modules/.cache/node')
  const compiled = () => (existsSync(cache) ? readdirSync(cache, { recursive: true }).sort() : [])
  /** Node writes what it has compiled when it ends. */
  const startAndStop = async () => {
    const service = await startReady()
    const family = service.family()
    process.kill(-(service.child.pid ?? 0), 'SIGINT')
    await untilGone(family)
    return service.output
  }
  // A start that is stopped early may not have loaded everything, so the next one can still compile.
  let before: (string | Buffer)[] = []
  let output = ''
  for (let starts = 0; starts < 5 && compiled().join() !== before.join(); starts++) {
    before = compiled()
    output = await startAndStop()
  }

  t.ok(before.length > 100, `${before.length} compiled files`)
  t.notMatch(output, /Preparing|Migrated/)
  t.strictSame(compiled(), before)

  t.comment('control: a start that compiles is noticed')
  rmSync(cache, { recursive: true })
  await startAndStop()
  t.ok(compiled().length > 100)
})

t.test('a first start that fails ends with the sentence of the server', async (t) => {
  const service = await start()
  const squatter = createServer().listen(service.port)
  t.teardown(() => squatter.close())
  t.not(await service.exited, 0)
  t.match(lastLine(service), /^Port \d+ is taken/)
  t.notMatch(service.output, / at .*\.ts:\d+/, 'no stack trace')
  t.same(
    processes().filter(({ command }) => command.includes(checkout)),
    [],
  )
})

t.test('wrong settings are named together, last, and before anything is started', async (t) => {
  const wrong = { LOG_LEVEL: 'verbose', AUTH_MODE: 'maybe', DEFAULT_CURRENCY: 'EURO', DATABASE_URL: 'mysql://x' }
  const service = await start(wrong)
  t.not(await service.exited, 0)
  const said = service.output.trimEnd().split('\n').slice(-5)
  t.match(said[0], 'Cannot start with these settings:')
  for (const name of Object.keys(wrong))
    t.ok(
      said.some((line) => line.startsWith(`  ${name} must be `)),
      name,
    )
})

t.test('a checkout that cannot be written says what to do, last', async (t) => {
  const data = join(checkout, '.data')
  renameSync(data, `${data}.away`)
  t.teardown(() => renameSync(`${data}.away`, data))
  writeFileSync(data, 'a file in the way')
  const service = await start()
  t.not(await service.exited, 0)
  rmSync(data)
  t.match(lastLine(service), /\.data.*: (move it and start again|use a folder that can be written)/)
})

t.test('with DATABASE_URL no database is started', async (t) => {
  const log = join(checkout, '.data/postgres/postgres.log')
  const before = readFileSync(log, 'utf8')
  const service = await start({ DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', DATABASE_WAIT_MS: '0' })
  t.not(await service.exited, 0)
  t.match(service.output, /database/)
  t.equal(readFileSync(log, 'utf8'), before)
})

t.test('--help reaches the server and starts no database', async (t) => {
  const service = await start({}, ['--', '--', '--help'])
  t.equal(await service.exited, 0)
  t.match(service.output, /DATABASE_URL/)
})

t.test('control: a process that is left behind is seen', async (t) => {
  const stray = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)', checkout], { stdio: 'ignore' })
  t.teardown(() => stray.kill('SIGKILL'))
  await t.rejects(untilGone([], 300), { message: new RegExp(`${stray.pid} .*${checkout}`) })
})
