/**
 * Runs one target (`test` by default) of every project that has it, and ends with `N passed, N failed` over all of them.
 * Nx shows little of a task that passed, so the counts come from the TAP report that each task leaves, cached or not.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { readReport } from './tap-report.ts'

const [target = 'test'] = process.argv.slice(2)
const root = process.cwd()

const readJson = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8'))
const { workspaces } = readJson('package.json') as { workspaces: string[] }
const projects = globSync(
  workspaces.map((folder) => `${folder}/package.json`),
  { cwd: root },
)
  .map((file) => ({ folder: join(file, '..'), ...readJson(file) }))
  .filter(({ scripts }) => scripts?.[target] !== undefined)
  .map(({ folder, nx }) => ({ name: nx.name as string, report: join(root, folder, '.tap', `${target}.tap`) }))
  .sort((a, b) => a.name.localeCompare(b.name))

// A report of an earlier run must never stand in for one that this run failed to write.
for (const { report } of projects) rmSync(report, { force: true })

const nx = createRequire(join(root, 'package.json')).resolve('nx/bin/nx.js')
// One project after another: each runs its files side by side already, and some of them measure time.
const run = spawn(process.execPath, [nx, 'run-many', '-t', target, '--parallel=1'], { cwd: root, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => run.kill(signal))
const [exitCode, signal] = await once(run, 'exit')

let passed = 0
const failures: string[] = []
for (const { name, report } of projects) {
  const { passed: count, failures: found } = readReport(readIfThere(report))
  passed += count
  failures.push(...found.map((text) => `${name}\n${text}`))
  if (count + found.length === 0) failures.push(`${name}\nno test ran: ${report} is missing or empty`)
}
if (projects.length === 0) failures.push(`no project has a ${target} script`)
if (exitCode !== 0 && failures.length === 0) {
  failures.push(`nx ended with ${exitCode ?? signal} although no test failed: coverage below a threshold, or see above`)
}

for (const failure of failures) console.log(`\nFAILED ${failure}`)
console.log(`\n${passed} passed, ${failures.length} failed`)
process.exitCode = failures.length === 0 ? 0 : 1

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
