import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'

const root = join(import.meta.dirname, '../../..')
const runner = join(root, 'apps/orders-e2e/src/run-tests.ts')
const passing =
  "import t from 'tap'\nt.test('one', async (t) => { t.ok(true) })\nt.test('two', async (t) => { t.ok(true) })\n"
const failing = "import t from 'tap'\nt.test('one', async (t) => { t.equal(1, 2, 'one is two') })\n"

/** A workspace with the real configuration and the given test files, run once as `npm test` runs this one. */
function runTests(t: Test, files: Record<string, string>, before?: (folder: string) => void) {
  const folder = mkdtempSync(join(tmpdir(), 'run-tests-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  for (const file of ['nx.json', '.taprc', 'tsconfig.base.json']) cpSync(join(root, file), join(folder, file))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  const script = 'mkdir -p .tap && tap run --reporter=tee --reporter-arg=.tap/test.tap'
  const all: Record<string, string> = {
    'package.json': JSON.stringify({ name: 'root', private: true, workspaces: ['packages/*'] }),
    '.gitignore': 'node_modules\n.tap\n.nx\n',
    ...files,
  }
  for (const project of new Set(Object.keys(files).map((file) => file.split('/')[1]))) {
    all[`packages/${project}/.taprc`] ??= 'extends: ../../.taprc\n'
    const about = {
      name: `@x/${project}`,
      version: '1.0.0',
      type: 'module',
      nx: { name: project },
      scripts: { test: script },
    }
    all[`packages/${project}/package.json`] = JSON.stringify(about)
  }
  for (const [file, text] of Object.entries(all)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  before?.(folder)
  return spawnRunner(folder)
}

function spawnRunner(cwd: string) {
  // A run inside a run: what the outer Nx and tap put into the environment is not for the inner ones.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(NX_|TAP|_TAPJS|NODE_OPTIONS|npm_)/.test(name)),
  )
  const { stdout, status } = spawnSync(process.execPath, [runner, 'test'], { cwd, env, encoding: 'utf8' })
  return {
    stdout,
    status,
    last: stdout.trimEnd().split('\n').at(-1),
    again: () => spawnRunner(cwd),
  }
}

t.test('sums the tests of all projects, and again when they come from the cache', async (t) => {
  const first = runTests(t, { 'packages/a/test/a.test.ts': passing, 'packages/b/test/b.test.ts': passing })
  t.equal(first.last, '4 passed, 0 failed') || t.comment(first.stdout)
  t.equal(first.status, 0)
  const second = first.again()
  t.equal(second.last, '4 passed, 0 failed') || t.comment(second.stdout)
  t.match(second.stdout, /2\/2 hit|2 out of 2/, 'the second run was cached')
})

t.test('what failed or did not run is counted and shown, and ends the run non-zero', async (t) => {
  const run = runTests(
    t,
    {
      'packages/crash/test/a.test.ts': "throw new Error('boom')\n",
      'packages/empty/test/a.test.ts': '\n',
      'packages/fail/test/a.test.ts': `${failing}${passing}`.replace(/\nimport .*/, ''),
      'packages/none/src/a.ts': '\n',
      'packages/pass/test/a.test.ts': passing,
      'packages/skip/test/a.test.ts': "import t from 'tap'\nt.test('one', { skip: true }, async () => {})\n",
    },
    (folder) => {
      mkdirSync(join(folder, 'packages/none/.tap'))
      writeFileSync(join(folder, 'packages/none/.tap/test.tap'), '    ok 1 - of an earlier run\nok 1 - a.test.ts\n')
    },
  )
  t.equal(run.last, '4 passed, 5 failed') || t.comment(run.stdout)
  t.not(run.status, 0)
  t.match(run.stdout, /FAILED fail\n[\s\S]*not ok 1 - one is two[\s\S]*\+1/, 'a failure with its difference')
  t.match(run.stdout, /Error: boom/, 'a crash with its reason')

  const nothing = runTests(t, {})
  t.equal(nothing.last, '0 passed, 1 failed') || t.comment(nothing.stdout)
  t.not(nothing.status, 0)
})

t.test('coverage below a threshold is a failure', async (t) => {
  const run = runTests(t, {
    'packages/a/.taprc': readFileSync(join(root, 'packages/orders/.taprc'), 'utf8'),
    'packages/a/src/a.ts': 'export function a(x: number) {\n  if (x > 1) {\n    return 1\n  }\n  return 2\n}\n',
    'packages/a/test/a.test.ts': "import t from 'tap'\nimport { a } from '../src/a.ts'\nt.equal(a(1), 2)\n",
  })
  t.equal(run.last, '1 passed, 1 failed') || t.comment(run.stdout)
  t.not(run.status, 0)
  t.match(run.stdout, /coverage below a threshold/)
})
