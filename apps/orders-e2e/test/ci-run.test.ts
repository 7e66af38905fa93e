import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { leftovers } from '../src/readme/leftovers.ts'

const root = join(import.meta.dirname, '../../..')

/** Creates a folder with the real .ci/run. Its commands are stubs: `outcomes` maps a part of the arguments to a script. */
function prepare(t: Test, outcomes: Record<string, string>) {
  const folder = t.testdir({})
  const cases = Object.entries(outcomes).map(([part, script]) => `*"${part}"*) ${script};;`)
  const tests = [
    '*"check-readme.ts test plain"*) echo "12 passed, 0 failed";;',
    '*run-tests.ts*) echo "3 passed, 0 failed";;',
    '*cluster/run.ts*) echo "5 passed, 0 failed";;',
  ]
  const stand = ['#!/bin/sh', 'case "$(basename "$0") $*" in', ...cases, ...tests, '*) echo fine;;', 'esac'].join('\n')
  for (const name of ['npm', 'nx', 'node', 'git', 'tar', 'curl', 'chromium', 'apt-get']) {
    const file = join(folder, 'node_modules/.bin', name)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, stand)
    chmodSync(file, 0o755)
  }
  cpSync(join(root, '.ci'), join(folder, '.ci'), { recursive: true })
  const env = { ...process.env, PATH: `${join(folder, 'node_modules/.bin')}:${process.env.PATH}` }
  return { folder, env }
}

function ciRun(t: Test, outcomes: Record<string, string> = {}) {
  const { folder, env } = prepare(t, outcomes)
  const { stdout, status } = spawnSync('bash', ['.ci/run'], { cwd: folder, env, encoding: 'utf8', timeout: 60_000 })
  const lines = stdout.trimEnd().split('\n')
  return { folder, stdout, status, last: lines.at(-1), failed: lines.filter((line) => line.startsWith('FAILED ')) }
}

const checks = 14
const readmeTests = 12
const e2e = 3
const measured = 3
const adversary = 3
const cluster = 5

t.test('sums tests and checks', async (t) => {
  const run = ciRun(t)
  t.equal(run.last, `${checks + readmeTests + e2e + measured + adversary + cluster} passed, 0 failed`) ||
    t.comment(run.stdout)
  t.equal(run.status, 0)
})

t.test('goes on after what failed, lists it and ends non-zero', async (t) => {
  const run = ciRun(t, {
    'npm run --silent lint': 'exit 1',
    'check-readme.ts test plain': 'printf "FAILED one\\nbecause \\377\\n10 passed, 2 failed\\n"; exit 1',
    'check-readme.ts start root': 'kill -9 $$',
  })
  t.equal(run.last, `${checks - 2 + 10 + e2e + measured + adversary + cluster} passed, 4 failed`) ||
    t.comment(run.stdout)
  t.strictSame(run.failed, [
    'FAILED one',
    'FAILED lint and format',
    'FAILED README: tests, in a fresh clone as a plain user: 2',
    'FAILED README: start and curl, in a fresh clone as root',
  ])
  t.match(run.stdout, /: 2\n {2}FAILED one\n {2}because/, 'and says at the end what failed')
  t.not(run.status, 0)
})

t.test('tests that did not say how they ended, ended badly or ran nothing have failed', async (t) => {
  const pairs = [
    ['echo boom; exit 1', 'echo "all good"'],
    ['echo "0 passed, 0 failed"', 'echo "0 passed, 0 failed"; exit 1'],
  ]
  for (const [first = '', second = ''] of pairs) {
    const run = ciRun(t, { 'check-readme.ts test plain': first, 'run-tests.ts e2e': second })
    t.equal(run.last, `${checks + measured + adversary + cluster} passed, 2 failed`) || t.comment(run.stdout)
    t.not(run.status, 0)
  }
})

t.test('a process that a check left behind does not hold the run up', async (t) => {
  const run = ciRun(t, { 'nx build': 'sleep 60 & exit 0', 'run-tests.ts e2e': 'echo "3 passed, 0 failed"; exit 1' })
  const left = leftovers(run.folder)
  for (const { pid } of left) process.kill(pid, 'SIGKILL')
  t.match(left, [{ command: 'sleep 60' }])
  t.equal(run.last, `${checks + readmeTests + e2e + measured + adversary + cluster} passed, 1 failed`) ||
    t.comment(run.stdout)
})

t.test('an interrupted run ends the processes that it started', async (t) => {
  const started = 'touch started; exec sleep 61'
  const { folder, env } = prepare(t, { 'check-readme.ts test plain': started })
  const run = spawn('bash', ['.ci/run'], { cwd: folder, env, stdio: 'ignore' })
  const ended = once(run, 'exit')
  while (!existsSync(`${folder}/started`)) await delay(50)
  run.kill('SIGTERM')
  t.strictSame(await ended, [130, null])
  t.strictSame(leftovers(folder), [])
})
