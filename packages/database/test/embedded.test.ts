import { once } from 'node:events'
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { nativeFolder, stepDown } from '../src/embedded/binaries.ts'
import { explainOutput, explainSystemError } from '../src/embedded/error.ts'
import { EmbeddedPostgresError, findRunning, startEmbeddedPostgres } from '../src/embedded.ts'
import { createCluster } from '../testing/index.ts'
import { processesOf, waitUntil, watchdogsOf } from './processes.ts'
import { query } from './query.ts'
import { spawnStarter, startInChild } from './starter.ts'

/** A folder that only its owner may enter, as a checkout below /root is. */
function makeFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'orders-embedded-'))
  t.teardown(async () => {
    await waitUntil(() => processesOf(folder).length === 0)
    rmSync(folder, { recursive: true })
  })
  return folder
}

async function start(t: Test, dataDir: string, options: { durable?: boolean; port?: number } = {}) {
  const server = await startEmbeddedPostgres({ dataDir, ...options })
  t.teardown(server.stop)
  return server
}

const refusal = (pattern: RegExp) => ({ name: 'EmbeddedPostgresError', message: pattern })

t.test('a folder is made on first use, kept, and quickly served again', async (t) => {
  const dataDir = join(makeFolder(t), 'deep', 'postgres')
  const first = await startEmbeddedPostgres({ dataDir })
  t.same(await query(first.url, 'show fsync'), ['on'])
  t.same(await query(first.url, 'show full_page_writes'), ['on'])
  t.same(await query(first.url, 'show synchronous_commit'), ['on'])
  t.same(await query(first.url, 'show listen_addresses'), ['127.0.0.1'])
  t.same(await query(first.url, 'show unix_socket_directories'), [''])
  t.same(await query(first.url, 'show client_connection_check_interval'), ['5s'])
  t.same(await query(first.url, 'show server_encoding'), ['UTF8'])
  t.same(await query(first.url, 'select datlocprovider from pg_database where datname = current_database()'), ['b'])
  await query(first.url, 'create table kept as select 42 as answer')
  await t.rejects(query(first.url.replace(/:[0-9a-f]+@/, ':wrong@'), 'select'), { code: '28P01' })
  t.equal(statSync(dataDir).mode & 0o777, 0o700)
  t.equal(statSync(join(dataDir, 'superuser-password')).mode & 0o777, 0o600)
  await first.stop()
  await first.stop()
  t.same(processesOf(dataDir), [])

  let quickest = Number.POSITIVE_INFINITY
  for (let count = 0; count < 3; count++) {
    const began = performance.now()
    const again = await startEmbeddedPostgres({ dataDir })
    quickest = Math.min(quickest, performance.now() - began)
    await again.stop()
  }
  t.ok(quickest < 1000, `the quickest later start took ${Math.round(quickest)} ms`)
  const second = await start(t, dataDir)
  t.same(await query(second.url, 'select answer from kept'), [42])
  t.same(readdirSync(join(dataDir, '..')), ['postgres'], 'no draft is left beside it')
})

t.test('a served folder is found, and refused to a second server', async (t) => {
  const dataDir = join(makeFolder(t), 'postgres')
  t.equal(await findRunning(dataDir), null)
  const server = await start(t, dataDir)
  t.equal(await findRunning(dataDir), server.url)
  await t.rejects(startEmbeddedPostgres({ dataDir }), refusal(/Another PostgreSQL \(process \d+\) already serves/))
  t.same(await query(server.url, 'select 1'), [1], 'the first goes on')
  await server.stop()
  t.equal(await findRunning(dataDir), null)
})

t.test('of two first starts at once one serves and the other is refused', async (t) => {
  const dataDir = join(makeFolder(t), 'postgres')
  const starts = await Promise.allSettled([startEmbeddedPostgres({ dataDir }), startEmbeddedPostgres({ dataDir })])
  for (const start of starts) if (start.status === 'fulfilled') t.teardown(start.value.stop)
  t.equal(starts.filter(({ status }) => status === 'fulfilled').length, 1)
  const refused = starts.find((start) => start.status === 'rejected')
  t.match(refused?.reason, refusal(/already serves/))
})

t.test('kill -9 of the process that started it ends the server and loses nothing', async (t) => {
  const dataDir = join(makeFolder(t), 'postgres')
  const child = await startInChild(t, dataDir)
  const url = await findRunning(dataDir)
  t.ok(processesOf(dataDir).length > 1)
  await query(url ?? '', 'create table kept as select 1 as answer')
  child.kill('SIGKILL')
  t.comment('a start at once waits for the old server to end')
  const server = await start(t, dataDir)
  t.same(await query(server.url, 'select answer from kept'), [1])
  await server.stop()
  await waitUntil(() => processesOf(dataDir).length === 0)
})

t.test('a start waits for a server whose starter was killed, also while that server still answers', async (t) => {
  const dataDir = join(makeFolder(t), 'postgres')
  const child = await startInChild(t, dataDir)
  const watchdogs = watchdogsOf(dataDir)
  t.ok(watchdogs.length > 0)
  const send = (signal: NodeJS.Signals) => {
    for (const pid of watchdogs) process.kill(pid, signal)
  }
  send('SIGSTOP')
  child.kill('SIGKILL')
  const starting = start(t, dataDir)
  const answers = async () => {
    for (let times = 0; times < 5; times++) t.type(await findRunning(dataDir), 'string')
    return 'the server answers'
  }
  const first = await Promise.race([starting.catch(({ message }: Error) => message), answers()])
  send('SIGCONT')
  t.equal(first, 'the server answers', 'the start has not given up meanwhile')
  t.same(await query((await starting).url, 'select 1'), [1])
})

t.test('kill -9 in the middle of the first start leaves nothing that is trusted', async (t) => {
  const folder = makeFolder(t)
  const dataDir = join(folder, 'postgres')
  const child = spawnStarter(t, dataDir)
  await waitUntil(() => readdirSync(folder).some((name) => existsSync(join(folder, name, 'cluster/PG_VERSION'))))
  child.kill('SIGKILL')
  t.notOk(existsSync(dataDir))
  await waitUntil(() => processesOf(dataDir).length === 0)
  const server = await start(t, dataDir)
  t.same(await query(server.url, 'select 1'), [1])
  t.same(readdirSync(folder), ['postgres'])
})

t.test('a stale postmaster.pid does not stop a start', async (t) => {
  const cluster = await createCluster(t)
  await query(cluster.url, 'create table kept as select 1 as answer')
  t.comment('after kill -9 of everything')
  await cluster.kill()
  await t.rejects(query(cluster.url, 'select'), { code: 'ECONNREFUSED' })
  await cluster.restart()
  t.same(await query(cluster.url, 'select answer from kept'), [1])

  t.comment('after a reboot that gave the number to another program')
  const dataDir = join(makeFolder(t), 'postgres')
  await (await startEmbeddedPostgres({ dataDir })).stop()
  writeFileSync(join(dataDir, 'postmaster.pid'), `${process.pid}\n${dataDir}\n1700000000\n1\n\n127.0.0.1\n`)
  t.equal(await findRunning(dataDir), null)
  const server = await start(t, dataDir)
  t.same(await query(server.url, 'select 1'), [1])
})

t.test('each fault is told in one sentence', async (t) => {
  const folder = makeFolder(t)
  const holding = (name: string, files: Record<string, string>) => {
    mkdirSync(join(folder, name))
    for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, name, file), text)
    return startEmbeddedPostgres({ dataDir: join(folder, name) })
  }
  const old = { PG_VERSION: '17\n', 'superuser-password': 'x' }
  await t.rejects(holding('old', old), refusal(/written by PostgreSQL 17 and this program brings 18: .+\.$/))
  await t.rejects(holding('foreign', { 'notes.txt': 'mine' }), refusal(/holds other files, .+\.$/))
  t.equal(readFileSync(join(folder, 'foreign/notes.txt'), 'utf8'), 'mine')
  writeFileSync(join(folder, 'file'), '')
  await t.rejects(startEmbeddedPostgres({ dataDir: join(folder, 'file/postgres') }), refusal(/A file is in the way/))
  t.throws(() => nativeFolder('sunos', 'sparc'), refusal(/No PostgreSQL is installed for sunos-sparc: .+\.$/))

  const damaged = join(folder, 'damaged')
  await (await startEmbeddedPostgres({ dataDir: damaged })).stop()
  rmSync(join(damaged, 'global/pg_control'))
  await t.rejects(
    startEmbeddedPostgres({ dataDir: damaged }),
    refusal(/could not start on .+ \(see .+postgres\.log\)\.$/),
  )
  t.same(processesOf(damaged), [])

  const squatter = createServer().listen(0, '127.0.0.1')
  await once(squatter, 'listening')
  t.teardown(() => squatter.close())
  const { port } = squatter.address() as { port: number }
  const taken = startEmbeddedPostgres({ dataDir: join(folder, 'fresh'), port })
  await t.rejects(taken, refusal(/could not create any TCP\/IP sockets/))

  const full = explainOutput('PANIC:  could not write to file "pg_wal/xlogtemp.7": No space left on device', '/data')
  t.match(full, refusal(/disk that holds \/data is full: .+\.$/))
  t.match(explainSystemError({ code: 'EACCES' }, '/data'), refusal(/\/data cannot be written: .+\.$/))
  const bug = new TypeError('a bug')
  t.equal(explainSystemError(bug, '/data'), bug)
  t.ok(full instanceof EmbeddedPostgresError)
})

t.test('a plain user and root run it alike', async (t) => {
  const root = process.getuid?.() === 0
  // initdb wants a user that has a name: every Linux has daemon.
  const user = root ? { uid: 1, gid: 1 } : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
  const folder = makeFolder(t)
  if (root) chownSync(folder, user.uid, user.gid)
  const dataDir = join(folder, 'postgres')
  const child = await startInChild(t, dataDir, root ? stepDown(user) : [])
  t.equal(statSync(dataDir).uid, user.uid)
  child.stdin?.end()
  await waitUntil(() => processesOf(dataDir).length === 0)
  t.comment('root serves it as its owner, who can use it again afterwards')
  await (await startEmbeddedPostgres({ dataDir })).stop()
  t.equal(statSync(join(dataDir, 'postgres.log')).uid, user.uid)
  await startInChild(t, dataDir, root ? stepDown(user) : [])
})
