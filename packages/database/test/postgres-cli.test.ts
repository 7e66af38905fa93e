import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { runOnce } from '../src/embedded/postmaster.ts'

const script = join(import.meta.dirname, '../src/postgres-cli.ts')

t.test('it runs until it is told to end, and its address stands in a private file meanwhile', async (t) => {
  const folder = t.testdir()
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  const file = join(folder, 'url')
  const args = ['--data', join(folder, 'data'), '--port', String(port), '--url-file', file]
  const server = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => server.kill('SIGKILL'))
  const [line] = await once(server.stdout, 'data')
  t.equal(String(line), `PostgreSQL is ready on port ${port}.\n`)

  const url = readFileSync(file, 'utf8').trim()
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(new URL(url).port, String(port))
  await runOnce(url, 'select')

  server.kill('SIGTERM')
  t.strictSame(await once(server, 'exit'), [0, null])
  t.notOk(existsSync(file), 'nobody finds an address without a server')
  await t.rejects(runOnce(url, 'select'), { code: 'ECONNREFUSED' })
})

t.test('a wrong argument is one sentence', async (t) => {
  for (const args of [[], ['--data', 'x', '--url-file', 'y', '--port', '70000'], ['--what']]) {
    await t.rejects(promisify(execFile)(process.execPath, [script, ...args]), { code: 1, stderr: /^Usage: [^\n]+\n$/ })
  }
})
