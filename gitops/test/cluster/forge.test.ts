import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import t from 'tap'
import { createAuthority } from '../../src/cluster/certificates.ts'
import { startForge } from '../../src/cluster/forge.ts'
import { gitHost, makeFork } from '../../src/cluster/fork.ts'
import { releasePath } from '../../src/release/environments.ts'

const noCharts = { hosts: ['charts.example.com'], serve: () => {}, publish: async () => {} }
const image = (digit: string) => `registry.orders.internal/orders/orders-api@sha256:${digit.repeat(64)}`

t.test('a cluster can follow a fork of this very commit', async (t) => {
  const folder = t.testdir({})
  const authority = await createAuthority('test')
  writeFileSync(join(folder, 'ca.crt'), authority.certificate)
  const fork = makeFork(folder)
  const forge = await startForge(authority, fork.served, noCharts, { host: '127.0.0.1', port: 0 })
  t.teardown(forge.close)
  const url = `https://${gitHost}:${forge.port}/orders/orders`
  const built = fork.tip()
  fork.release(
    'adopt',
    '--repo',
    'https://git.orders.internal/orders/orders',
    '--registry',
    'registry.orders.internal/orders',
    '--domain',
    'orders.internal',
  )
  fork.release('bump', '--env', 'local', '--image', image('a'), '--commit', built)
  fork.release('bump', '--env', 'local', '--image', image('b'), '--commit', fork.emptyCommit('Newer'))

  // Not the synchronous way: the server is in this process.
  const runGit = (GIT_SSL_CAINFO: string, args: string[]) =>
    new Promise<string>((resolve) => {
      const resolved = ['-c', `http.curloptResolve=${gitHost}:${forge.port}:127.0.0.1`]
      const env = { ...process.env, GIT_SSL_CAINFO }
      execFile('git', [...resolved, ...args], { env }, (error, stdout, stderr) =>
        resolve(error === null ? stdout : `failed: ${stderr}`),
      )
    })
  const client = (...args: string[]) => runGit(join(folder, 'ca.crt'), args)
  writeFileSync(join(folder, 'other.crt'), (await createAuthority('other')).certificate)
  t.match(
    await runGit(join(folder, 'other.crt'), ['ls-remote', url]),
    /^failed: .*certificate/s,
    'a client of another authority does not trust it',
  )
  t.match(await client('ls-remote', url, 'refs/heads/main'), new RegExp(`^${fork.tip()}\t`))
  await client('clone', '--quiet', '--depth=1', url, join(folder, 'seen'))
  const release = () => readFileSync(join(folder, 'seen', releasePath('local')), 'utf8')
  t.match(release(), 'b'.repeat(64))
  t.match(await client('-C', join(folder, 'seen'), 'push', url, 'HEAD:other'), /^failed: /, 'it only reads')
  fork.release('rollback', '--env', 'local', '--reason', 'the image does not exist')
  await client('-C', join(folder, 'seen'), 'pull', '--quiet', 'origin', 'main')
  t.match(release(), 'a'.repeat(64))
  fork.branch('change', { 'gitops/new.yaml': 'a: b\n' })
  t.match(await client('ls-remote', url, 'refs/heads/change'), /\trefs\/heads\/change/)
})

t.test('the API of the forge lists the pull requests that there are', async (t) => {
  const authority = await createAuthority('test')
  const forge = await startForge(authority, t.testdir({}), noCharts, { host: '127.0.0.1', port: 0 })
  t.teardown(forge.close)
  const get = (path: string) =>
    new Promise<{ status: number; body: string }>((resolve, reject) => {
      const options = {
        host: '127.0.0.1',
        port: forge.port,
        path,
        ca: authority.certificate,
        servername: 'api.github.com',
      }
      const asking = request({ ...options, headers: { host: 'api.github.com' } }, async (answer) => {
        const chunks: Buffer[] = []
        for await (const chunk of answer) chunks.push(chunk as Buffer)
        resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString() })
      })
      asking.on('error', reject)
      asking.end()
    })
  t.same(JSON.parse((await get('/repos/orders/orders/pulls?per_page=100')).body), [])
  forge.pullRequests.push({ number: 7, sha: 'c'.repeat(40), labels: ['preview'] })
  t.match(JSON.parse((await get('/repos/orders/orders/pulls')).body), [
    { number: 7, head: { sha: 'c'.repeat(40) }, labels: [{ name: 'preview' }] },
  ])
  t.equal((await get('/user')).status, 404)
})
