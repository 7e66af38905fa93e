/**
 * Runs what the README shows, in a fresh clone: `check-readme.ts start|test [root|plain]`.
 * `start` starts the service, sends the curl lines, presses Ctrl-C and looks for processes left behind; `test` runs the
 * tests and ends with their last line.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { type Clone, freshClone } from './fresh-clone.ts'
import { leftovers } from './leftovers.ts'
import { type CurlLine, parseReadme } from './parse.ts'

const repository = join(import.meta.dirname, '../../../..')
const readyWithinMs = 300_000
const goneWithinMs = 15_000

const [what, user = 'plain'] = process.argv.slice(2)
if ((what !== 'start' && what !== 'test') || (user !== 'root' && user !== 'plain')) {
  console.error('Say what to run and as whom: check-readme.ts start|test [root|plain].')
  process.exit(2)
}
const readme = parseReadme(readFileSync(join(repository, 'README.md'), 'utf8'))
const faults: string[] = []
const clone = freshClone(repository, user)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    clone.remove()
    process.exit(1)
  })
}
try {
  if (what === 'start') await checkStart(clone)
  else await checkTest(clone)
} finally {
  clone.remove()
}
for (const fault of faults) console.error(`FAILED ${fault}`)
process.exitCode = faults.length === 0 ? 0 : 1

async function checkTest(clone: Clone) {
  console.log(`${user}: ${readme.test}`)
  const [code] = await once(clone.run(readme.test, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit')
  if (code !== 0) faults.push(`${readme.test} ended with ${code}`)
}

async function checkStart(clone: Clone) {
  const { port } = new URL(/https?:[^\s'"]+/.exec(readme.curls[0]?.command ?? '')?.[0] ?? '')
  if (await listens(Number(port))) throw new Error(`Port ${port} is taken: stop what listens there, then check again.`)
  console.log(`${user}: ${readme.start}`)
  const service = clone.run(readme.start, { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(service, 'exit')
  const ready = Promise.withResolvers<boolean>()
  if (service.stdout === null || service.pid === undefined) throw new Error(`${readme.start} did not start`)
  createInterface({ input: service.stdout }).on('line', (line) => {
    console.log(`  ${line}`)
    if (line.includes('http://localhost:')) ready.resolve(true)
  })
  const timedOut = setTimeout(readyWithinMs, false, { ref: false })
  if (await Promise.race([ready.promise, ended.then(() => false), timedOut])) readme.curls.forEach(checkCurl)
  else faults.push(`${readme.start} printed no address within ${readyWithinMs / 1000} s`)

  if (service.exitCode === null) process.kill(-service.pid, 'SIGINT')
  await Promise.race([ended, setTimeout(goneWithinMs, undefined, { ref: false })])
  const giveUpAt = Date.now() + goneWithinMs
  while (leftovers(clone.folder).length > 0 && Date.now() < giveUpAt) await setTimeout(100)
  for (const { pid, command } of leftovers(clone.folder)) faults.push(`Ctrl-C left process ${pid} behind: ${command}`)
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, 'localhost')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Runs the line as it stands; a settings file of curl's own makes it print the status below the answer. */
function checkCurl({ command, status, contains }: CurlLine) {
  const home = mkdtempSync(join(tmpdir(), 'curl-'))
  writeFileSync(join(home, '.curlrc'), 'silent\nshow-error\nmax-time = 10\nwrite-out = "\\n%{http_code}"\n')
  const { stdout, stderr } = spawnSync('sh', ['-c', command], {
    encoding: 'utf8',
    env: { ...process.env, CURL_HOME: home },
  })
  rmSync(home, { recursive: true })
  const [, body = '', got = ''] = /^([\s\S]*)\n(\d{3})$/.exec(stdout) ?? []
  console.log(`  ${got} ${command}`)
  if (Number(got) !== status) faults.push(`${command} answered ${got}, not ${status}: ${body.slice(0, 500)}${stderr}`)
  else if (!body.includes(contains)) faults.push(`${command} answered without ${contains}: ${body.slice(0, 500)}`)
}
