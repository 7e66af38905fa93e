import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { repeatIfStarved, starvedSeconds } from '../../src/cluster/starvation.ts'

/** Measures that fail with these messages in turn, and then succeed. */
function measures(...failures: string[]) {
  const measured = { count: 0 }
  const measure = async () => {
    measured.count++
    const message = failures.shift()
    if (message !== undefined) throw new Error(message)
    return 'measured'
  }
  return { measured, measure }
}

t.test('what failed while the pods starved is measured again', async (t) => {
  const { measured, measure } = measures('5 requests failed.', 'The rollback took 200 s.')
  t.equal(await repeatIfStarved(() => 7, measure), 'measured')
  t.equal(measured.count, 3)
})

t.test('what failed although no pod starved has failed', async (t) => {
  const { measured, measure } = measures('5 requests failed.')
  await t.rejects(
    repeatIfStarved(() => 0, measure),
    { message: '5 requests failed.' },
  )
  t.equal(measured.count, 1)
})

t.test('what fails each time has failed, starved or not', async (t) => {
  const { measured, measure } = measures('1.', '2.', '3.')
  await t.rejects(
    repeatIfStarved(() => 7, measure),
    { message: '3. The pods starved for 7 s meanwhile, and in 2 attempts before.' },
  )
  t.equal(measured.count, 3)
})

t.test('a process that got no time is reported, from the instant that is asked about', async (t) => {
  const logs = mkdtempSync(join(tmpdir(), 'orders-starvation-'))
  t.teardown(() => rmSync(logs, { recursive: true }))
  const child = spawn(process.execPath, [join(import.meta.dirname, '../../src/cluster/starvation-probe.ts')])
  t.teardown(() => child.kill())
  let line = ''
  child.stdout.on('data', (text) => {
    line += text
  })
  while (line === '') {
    child.kill('SIGSTOP')
    await delay(1200) // what it does not get
    child.kill('SIGCONT')
    await delay(300)
  }
  t.match(line, /^\S+Z (\d+|NaN) ms late, at most \d+ ms\n/)
  writeFileSync(join(logs, 'starvation.log'), line)
  t.not(starvedSeconds(logs, 0), 0)
  t.equal(starvedSeconds(logs, Date.now() + 1000), 0)
})
