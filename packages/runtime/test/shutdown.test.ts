import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'

const program = new URL('closing-process.ts', import.meta.url).pathname

/** Starts a process that closes as it is told: lines of its output, its end. */
async function start(t: Test, how: string, deadlineMs = 20_000, withChannel = false) {
  const args = [how, String(deadlineMs)]
  const child: ChildProcess = withChannel
    ? fork(program, args, { silent: true })
    : spawn(process.execPath, [program, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  t.teardown(() => child.kill('SIGKILL'))
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  const next = async () => (await lines.next()).value
  if ((await next()) !== 'ready') throw new Error('it did not start')
  return { child, exited, next }
}

t.test('each way to end it closes once and exits 0', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const { child, exited, next } = await start(t, 'when-told')
    child.kill(signal)
    t.equal(await next(), `closing on ${signal}`)
    child.stdin?.end('finish\n')
    t.equal(await next(), 'closed')
    t.same(await exited, [0, null])
  }
})

t.test('further signals neither shorten nor repeat it', async (t) => {
  const { child, exited, next } = await start(t, 'when-told')
  child.kill('SIGTERM')
  t.equal(await next(), 'closing on SIGTERM')
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) child.kill(signal)
  child.stdin?.write('are you there\n')
  t.equal(await next(), 'heard are you there')
  t.equal(child.exitCode, null)
  child.stdin?.end('finish\n')
  t.equal(await next(), 'closed')
  t.same(await exited, [0, null])
})

t.test('what fails or takes longer than its deadline exits 1 and says why', async (t) => {
  const failing = await start(t, 'failing')
  failing.child.kill('SIGTERM')
  t.equal(await failing.next(), 'closing on SIGTERM')
  t.equal(await failing.next(), 'failed: the pool is gone')
  t.same(await failing.exited, [1, null])

  const slow = await start(t, 'when-told', 200)
  slow.child.kill('SIGTERM')
  t.equal(await slow.next(), 'closing on SIGTERM')
  t.equal(await slow.next(), 'failed: not closed after 200 ms')
  t.same(await slow.exited, [1, null])
})

t.test('an unhandled error is reported, closes the process and exits 1', async (t) => {
  const errors = {
    reject: 'unhandledRejection: nobody waits for this',
    'reject with a text': 'unhandledRejection: a text',
    throw: 'uncaughtException: nobody catches this',
  }
  for (const [line, expected] of Object.entries(errors)) {
    const { child, exited, next } = await start(t, 'at-once')
    child.stdin?.write(`${line}\n`)
    t.equal(await next(), `heard ${line}`)
    t.equal(await next(), expected)
    t.equal(await next(), `closing on ${expected.split(':')[0]}`)
    t.equal(await next(), 'closed')
    t.same(await exited, [1, null])
  }
})

t.test('an unhandled error while closing is reported too, and exits 1 after closing', async (t) => {
  const { child, exited, next } = await start(t, 'when-told')
  child.kill('SIGTERM')
  t.equal(await next(), 'closing on SIGTERM')
  child.stdin?.write('reject\n')
  t.equal(await next(), 'heard reject')
  t.equal(await next(), 'unhandledRejection: nobody waits for this')
  child.stdin?.end('finish\n')
  t.equal(await next(), 'closed')
  t.same(await exited, [1, null])
})

t.test('it ends with the parent that holds its channel', async (t) => {
  const { child, exited, next } = await start(t, 'at-once', 20_000, true)
  child.disconnect()
  t.equal(await next(), 'closing on disconnect')
  t.equal(await next(), 'closed')
  t.same(await exited, [0, null])
})

t.test('without its parent it has 3 s', async (t) => {
  const { child, exited, next } = await start(t, 'when-told', 20_000, true)
  child.disconnect()
  t.equal(await next(), 'closing on disconnect')
  t.equal(await next(), 'failed: not closed after 3000 ms')
  t.same(await exited, [1, null])
})

t.test('it ends with a parent that is gone before anybody could hear of it', async (t) => {
  const child = fork(program, ['orphaned'], { silent: true })
  t.teardown(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  child.disconnect()
  t.same(await exited, [0, null])
})
