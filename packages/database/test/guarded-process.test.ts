import { once } from 'node:events'
import t, { type Test } from 'tap'
import { spawnGuarded } from '../src/embedded/guarded-process.ts'

/** A guarded program that runs and does this on SIGINT. */
async function run(t: Test, onInterrupt: string) {
  const program = `process.on('SIGINT', () => {${onInterrupt}}); setInterval(() => {}, 1000); console.log('runs')`
  const guarded = spawnGuarded({ prefix: [] }, [process.execPath, '-e', program], { output: 'pipe' })
  t.teardown(guarded.stop)
  if (!guarded.child.stdout) throw new Error('The output is not a pipe')
  await once(guarded.child.stdout, 'data')
  return guarded
}

async function stopMs({ stop }: { stop(): Promise<void> }): Promise<number> {
  const began = performance.now()
  await stop()
  return performance.now() - began
}

t.test('a program that ends at once is not waited for', async (t) => {
  // The end may come while the clock of the slow ones is being started: about once in 70 stops.
  const lane = async () => {
    let slowest = 0
    for (let count = 0; count < 50; count++) {
      slowest = Math.max(slowest, await stopMs(await run(t, 'process.kill(process.pid, "SIGKILL")')))
    }
    return slowest
  }
  const slowest = Math.max(...(await Promise.all([lane(), lane(), lane(), lane()])))
  t.ok(slowest < 2000, `the slowest of 200 stops took ${slowest.toFixed(0)} ms`)
})

t.test('a program that does not end is ended', async (t) => {
  const took = await stopMs(await run(t, ''))
  t.ok(took >= 3900 && took < 8000, `it took ${took.toFixed(0)} ms`)
})
