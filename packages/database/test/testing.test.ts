import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createCluster, createScratchDatabase } from '../testing/index.ts'
import { processesOf, waitUntil } from './processes.ts'
import { query } from './query.ts'

t.test('scratch databases are migrated and apart, and go with the process', async (t) => {
  const one = await createScratchDatabase(t)
  const two = await createScratchDatabase(t)
  const empty = await createScratchDatabase(t, { empty: true })
  t.not(one.name, two.name)
  await query(one.url, 'create table only_here as select 1')
  const tables = `select to_regclass('orders') is not null, to_regclass('only_here') is not null`
  t.same(await query(one.url, tables), [true, true])
  t.same(await query(two.url, tables), [true, false])
  t.same(await query(empty.url, tables), [false, false])
  t.same(await query(one.adminUrl, 'select current_database()'), ['postgres'])
  t.same(await query(one.url, `select current_setting('fsync')`), ['on'], 'the service accepts it')

  const module = JSON.stringify(join(import.meta.dirname, '../testing/index.ts'))
  const code = `import { createScratchDatabase } from ${module}
    const { adminUrl } = await createScratchDatabase({ name: 'child', teardown() {} })
    if (!adminUrl) throw new Error('no database')
    `
  for (const end of ['', 'process.kill(process.pid, "SIGKILL")']) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', code + end], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    await once(child, 'close')
    const leftovers = () => [
      ...processesOf(`orders-test-${child.pid}-`),
      ...[tmpdir(), '/dev/shm']
        .filter(existsSync)
        .flatMap((folder) => readdirSync(folder))
        .filter((name) => name.startsWith(`orders-test-${child.pid}-`)),
    ]
    await waitUntil(() => leftovers().length === 0)
  }
})

t.test('a private cluster can be killed, shut down and started again on its port', async (t) => {
  const cluster = await createCluster(t, { durable: false })
  t.same(await query(cluster.url, 'show fsync'), ['off'])
  t.same(await query(cluster.url, 'show synchronous_commit'), ['on'])
  for (const end of [cluster.kill, cluster.shutdown]) {
    await end()
    await t.rejects(query(cluster.url, 'select'), { code: 'ECONNREFUSED' })
    await cluster.restart()
    t.same(await query(cluster.url, 'select count(*)::int from orders'), [0])
  }
})

t.test('a leftover of another user stops nobody', async (t) => {
  const gone = spawn('true')
  await once(gone, 'close')
  const leftover = join(tmpdir(), `orders-test-${gone.pid}-foreign`)
  mkdirSync(join(leftover, 'cluster'), { recursive: true })
  chmodSync(leftover, 0)
  t.teardown(() => {
    if (!existsSync(leftover)) return
    chmodSync(leftover, 0o700)
    rmSync(leftover, { recursive: true })
  })
  const cluster = await createCluster(t, { durable: false })
  t.same(await query(cluster.url, 'select 1'), [1])
})
