/**
 * Runs what the README shows, in a fresh clone: `check-readme.ts start|test [root|plain]`.
 * `start` starts the service, sends the curl lines, presses Ctrl-C and looks for processes left behind; `test` runs the
 * tests and ends with their last line.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { checkCurls } from './check-curls.ts'
import { type Clone, freshClone } from './fresh-clone.ts'
import { leftovers } from './leftovers.ts'
import { parseReadme } from './parse.ts'

const repository = join(import.meta.dirname, '../../../..')
const readyWithinMs = 300_000
const goneWithinMs = 15_000

const [what, user = 'plain'] = process.argv.slice(2)
if ((what !== 'start' && what !== 'test') || (user !== 'root' && user !== 'plain')) {
  console.error('Say what to run and as whom: check-readme.ts start|test [root|plain].')
  process.exit(2)
}
const readme = parseReadme(readFileSync(join(repository, 'README.md'), 'utf8'))
const clone = freshClone(repository, user)
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    clone.remove()
    process.exit(1)
  })
}
try {
  const holds = await (what === 'start' ? checkStart(clone) : checkTest(clone))
  process.exitCode = holds ? 0 : 1
} finally {
  clone.remove()
}

/** The last line is that of the tests, so nothing is printed after it. */
async function checkTest(clone: Clone): Promise<boolean> {
  console.log(`${user}: ${readme.test}`)
  const [code] = await once(clone.run(readme.test, { stdio: ['ignore', 'inherit', 'inherit'] }), 'exit')
  return code === 0
}

async function checkStart(clone: Clone): Promise<boolean> {
  const faults: string[] = []
  const { port } = new URL(/https?:[^\s'"]+/.exec(readme.curls[0]?.[0]?.command ?? '')?.[0] ?? '')
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
  if (await Promise.race([ready.promise, ended.then(() => false), timedOut])) {
    for (const lines of readme.curls) faults.push(...(await checkCurls(lines, clone.folder)))
  } else faults.push(`${readme.start} printed no address within ${readyWithinMs / 1000} s`)

  if (service.exitCode === null) process.kill(-service.pid, 'SIGINT')
  await Promise.race([ended, setTimeout(goneWithinMs, undefined, { ref: false })])
  const giveUpAt = performance.now() + goneWithinMs
  while (leftovers(clone.folder).length > 0 && performance.now() < giveUpAt) await setTimeout(100)
  for (const { pid, command } of leftovers(clone.folder)) faults.push(`Ctrl-C left process ${pid} behind: ${command}`)
  for (const fault of faults) console.error(`FAILED ${fault}`)
  return faults.length === 0
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
