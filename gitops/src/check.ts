import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { lint, unexplained } from './check/linter.ts'
import { missingMetrics, queriesOf } from './check/metrics.ts'
import { remoteBases, renderTwice } from './check/rendering.ts'
import { invalidResources } from './check/schemas.ts'
import { readSettings, scrapeService } from './check/service.ts'
import { checkMonitoring } from './monitoring/check.ts'
import { readExposition } from './monitoring/exposition.ts'
import { gitopsRoot } from './render.ts'
import { type Document, readDocuments } from './rules/documents.ts'
import { describe, judge, rules } from './rules/judge.ts'
import { execute } from './tools/cache.ts'

const repository = join(gitopsRoot, '..')
let broken = 0

/** Runs one check: it answers what it found good, or throws, or answers what is wrong. */
async function check(name: string, look: () => Promise<{ faults: string[]; good: string }>): Promise<void> {
  const began = performance.now()
  const outcome = await look().catch((error: Error) => ({ faults: [error.message], good: '' }))
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  if (outcome.faults.length === 0) return console.log(`ok      ${name}: ${outcome.good} (${seconds} s)`)
  broken += 1
  console.log(`FAILED  ${name} (${seconds} s)`)
  for (const fault of outcome.faults) console.log(`        ${fault.replaceAll('\n', '\n        ')}`)
}

let sets = new Map<string, Document[]>()
let yaml = ''

await check('rendering', async () => {
  const { rendered, differences } = await renderTwice()
  sets = new Map(rendered.map((one) => [one.path, readDocuments(one.yaml)]))
  yaml = rendered.map((one) => one.yaml.trimEnd()).join('\n---\n')
  return {
    faults: [...differences, ...remoteBases()],
    good: `${sets.size} overlays, twice to the same bytes, none from elsewhere`,
  }
})
// Without anything rendered, every other check would be about nothing.
if (broken > 0) process.exit(1)

await check('schemas', async () => {
  const { faults, valid } = await invalidResources(yaml)
  return { faults, good: `${valid} resources, no unknown field` }
})
await check('rules', async () => {
  const facts = { sets, settings: await readSettings(), exists: (path: string) => existsSync(join(repository, path)) }
  const faults = [...sets].flatMap(([path, set]) => judge(path, set, facts)).map(describe)
  return { faults, good: `${Object.keys(rules).length} rules` }
})
await check('linter', async () => {
  const remarks = []
  for (const [path, set] of sets) if (/^(apps|platform)\//.test(path)) remarks.push(...(await lint(path, set)))
  return { faults: unexplained(remarks), good: `every check of kube-score, ${remarks.length} remarks explained` }
})
await check('metrics', async () => {
  const queries = [...sets.values()].flatMap(queriesOf)
  if (queries.length === 0) return { faults: ['no rule, analysis or dashboard was rendered'], good: '' }
  return {
    faults: missingMetrics(queries, readExposition(await scrapeService())),
    good: `${queries.length} queries ask for what the service tells`,
  }
})
await check('alerts', async () => {
  await checkMonitoring()
  return { faults: [], good: 'promtool takes them, and they fire when they should' }
})
await check('workflows', async () => {
  const said = await execute('The workflows are not as they should be.', process.execPath, [
    join(import.meta.dirname, 'workflows-cli.ts'),
  ])
  return { faults: [], good: said.trim().replaceAll('\n', '; ') }
})

console.log(broken === 0 ? 'All checks passed.' : `${broken} checks failed.`)
process.exitCode = broken === 0 ? 0 : 1
