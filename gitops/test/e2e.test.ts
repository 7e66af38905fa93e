import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { type Application, unfinished, withoutImage } from '../src/e2e/applications.ts'
import { serveGit } from '../src/e2e/git-server.ts'
import { probe } from '../src/e2e/prober.ts'
import { commitNothing, makeFork, noImage } from '../src/e2e/repository.ts'
import { until } from '../src/e2e/until.ts'
import { releasePath } from '../src/release/environments.ts'

t.test('a cluster can follow a fork of this very commit', async (t) => {
  const folder = t.testdir({})
  const fork = makeFork(folder)
  const built = fork.tip()
  const git = await serveGit(fork.served, '127.0.0.1')
  t.teardown(git.close)
  const url = `https://127.0.0.1:${git.port}/orders/orders`
  fork.release('adopt', '--repo', url, '--registry', 'localhost:5001/orders', '--domain', 'orders.internal')
  const good = noImage.replace(/.$/, (last) => (last === '0' ? '1' : '0'))
  fork.release('bump', '--env', 'local', '--image', good, '--commit', built)
  fork.release('bump', '--env', 'local', '--image', noImage, '--commit', commitNothing(fork, 'Newer'))

  // Not the synchronous way: the server is in this process.
  const client = (...args: string[]) =>
    new Promise<string>((resolve) => {
      execFile('git', args, (error, stdout, stderr) => resolve(error === null ? stdout : `failed: ${stderr}`))
    })
  const trusting = ['-c', 'http.sslVerify=false']
  t.match(await client('ls-remote', url), /^failed: .*certificate/s, 'whoever checks certificates trusts nobody here')
  t.match(await client(...trusting, 'ls-remote', url, 'refs/heads/main'), new RegExp(`^${fork.tip()}\t`))
  await client(...trusting, 'clone', '--quiet', '--depth=1', url, join(folder, 'seen'))
  const release = () => readFileSync(join(folder, 'seen', releasePath('local')), 'utf8')
  t.match(release(), noImage.split('@')[1])
  t.match(await client(...trusting, '-C', join(folder, 'seen'), 'push', url, 'HEAD:other'), /^failed: /, 'read only')
  fork.release('rollback', '--env', 'local', '--reason', 'the image does not exist')
  await client(...trusting, '-C', join(folder, 'seen'), 'pull', '--quiet', 'origin', 'main')
  t.match(release(), good.split('@')[1])
})

const application = (sync: string, health: string, phase: string, revision = 'r'): Application => ({
  metadata: { name: 'orders' },
  status: { sync: { status: sync, revision }, health: { status: health }, operationState: { phase } },
})

t.test('only what is Synced and Healthy at the commit is finished', async (t) => {
  t.same(unfinished([application('Synced', 'Healthy', 'Succeeded')], 'r'), [])
  const charts = { metadata: { name: 'chart' }, status: { sync: { status: 'Synced', revisions: ['1.2.3', 'r'] } } }
  t.same(unfinished([{ ...charts, status: { ...charts.status, health: { status: 'Healthy' } } }], 'r'), [])
  const others = [
    application('OutOfSync', 'Healthy', 'Succeeded'),
    application('Synced', 'Degraded', 'Succeeded'),
    application('Synced', 'Healthy', 'Running'),
    application('Synced', 'Healthy', 'Succeeded', 'older'),
    { metadata: { name: 'orders' } },
  ]
  for (const other of others) t.match(unfinished([other], 'r'), [/^orders is /], JSON.stringify(other))
  t.match(unfinished([], 'r'), [/no Application/], 'an empty cluster is not a finished one')
})

t.test('a pod whose image nobody has is told from one that starts', async (t) => {
  const pod = (reason: string) => ({
    metadata: { name: reason },
    status: { containerStatuses: [{ state: { waiting: { reason } } }] },
  })
  const pods = [pod('ImagePullBackOff'), pod('ContainerCreating'), { metadata: { name: 'new' } }]
  t.same(withoutImage(pods), ['ImagePullBackOff'])
})

t.test('waiting ends with what was waited for, or says what is missing', async (t) => {
  const answers = [['a'], ['a'], []]
  await until('all', 1, async () => answers.shift() ?? [], 1)
  await t.rejects(
    until('all', 0, async () => ['one is missing'], 1),
    /^all took longer than 0 min:\n {2}one is missing$/,
  )
})

t.test('the prober misses no failure', async (t) => {
  let broken = false
  const server = createServer((_, answer) => answer.writeHead(broken ? 503 : 200).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const asked = async (count: number) => {
    for (let seen = 0; seen < count; seen++) await once(server, 'request')
  }
  const well = probe(new URL(`http://127.0.0.1:${port}`), 1)
  await asked(3)
  t.same((await well.stop()).failures, [])
  broken = true
  const ill = probe(new URL(`http://127.0.0.1:${port}`), 1)
  await asked(2)
  t.match((await ill.stop()).failures, ['503'])
  server.close()
  const alone = probe(new URL(`http://127.0.0.1:${port}`), 1)
  t.match((await alone.stop()).failures, [/fetch failed/])
})
