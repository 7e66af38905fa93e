import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import tools from '../tools.json' with { type: 'json' }
import { otherSchemas, pinsOf, readSnapshot, unpublished } from './charts/snapshot.ts'
import { lint, unexplained } from './check/linter.ts'
import { missingMentions, readTexts } from './check/mentions.ts'
import { missingMetrics, queriesOf } from './check/metrics.ts'
import { remoteBases, renderTwice } from './check/rendering.ts'
import { invalidResources } from './check/schemas.ts'
import { readSettings, scrapeService } from './check/service.ts'
import { pinsWithoutUpdates } from './check/updates.ts'
import { checkMonitoring } from './monitoring/check.ts'
import { readExposition } from './monitoring/exposition.ts'
import { gitopsRoot } from './render.ts'
import { type Document, readDocuments } from './rules/documents.ts'
import { describe, judge, rules } from './rules/judge.ts'
import { execute } from './tools/cache.ts'
import { checkedVersions } from './tools/kubernetes-versions.ts'

const repository = join(gitopsRoot, '..')
const controls = join(gitopsRoot, 'test/bad/controls')
const control = (name: string) => readFileSync(join(controls, name), 'utf8')

type Outcome = { faults: string[]; good: string }
let broken = 0

/** Runs one check, and shows what it found good or what is wrong. */
async function check(name: string, look: () => Promise<Outcome>): Promise<void> {
  const began = performance.now()
  const outcome = await look().catch((error: Error) => ({ faults: [error.message], good: '' }))
  const seconds = ((performance.now() - began) / 1000).toFixed(1)
  if (outcome.faults.length === 0) return console.log(`ok      ${name}: ${outcome.good} (${seconds} s)`)
  broken += 1
  console.log(`FAILED  ${name} (${seconds} s)`)
  for (const fault of outcome.faults) console.log(`        ${fault.replaceAll('\n', '\n        ')}`)
}

/** A checker that lets its known-bad input pass checks nothing. */
function controlled(outcome: Outcome, found: string[], least: number): Outcome {
  if (found.length >= least) return outcome
  const says = `finds ${found.length} of the ${least} faults of its control: it checks nothing`
  return { ...outcome, faults: [...outcome.faults, says] }
}

let sets = new Map<string, Document[]>()
let yaml = ''

await check('rendering', async () => {
  const { rendered, differences } = await renderTwice()
  sets = new Map(rendered.map((one) => [one.path, readDocuments(one.yaml)]))
  yaml = rendered.map((one) => one.yaml.trimEnd()).join('\n---\n')
  const good = `${sets.size} overlays, twice to the same bytes, none from elsewhere`
  return controlled({ faults: [...differences, ...remoteBases()], good }, remoteBases(join(controls, 'remote')), 5)
})
// Without anything rendered, every other check would be about nothing.
if (sets.size === 0) process.exit(1)

for (const version of checkedVersions) {
  await check(`schemas of ${version}`, async () => {
    const { faults, valid } = await invalidResources(yaml, version)
    const bad = await invalidResources(control('schemas.yaml'), version)
    return controlled({ faults, good: `${valid} resources, no unknown field` }, bad.faults, 5)
  })
}
await check('rules', async () => {
  const facts = { sets, settings: await readSettings(), exists: (path: string) => existsSync(join(repository, path)) }
  const faults = [...sets].flatMap(([path, set]) => judge(path, set, facts)).map(describe)
  return { faults, good: `${Object.keys(rules).length} rules` }
})
await check('charts', async () => {
  const [pins, snapshot, bad] = [
    pinsOf(sets),
    readSnapshot(),
    pinsOf(new Map([['control', readDocuments(control('charts.yaml'))]])),
  ]
  const faults = [...unpublished(pins, snapshot), ...otherSchemas(pins, snapshot, tools.schemas.crds)]
  const good = `${pins.length} pinned versions are published, and the schemas are of the versions that they install`
  return controlled({ faults, good }, unpublished(bad, snapshot), 2)
})
await check('updates', async () => {
  const unmatched = (file: string) =>
    readFileSync(join(repository, file), 'utf8').replace(
      '"how": "go", "package": "github.com/yannh',
      '"how": "hand", "package": "github.com/yannh',
    )
  const good = 'Renovate updates every pin of tools.json and every chart'
  return controlled({ faults: pinsWithoutUpdates(repository), good }, pinsWithoutUpdates(repository, unmatched), 1)
})
await check('linter', async () => {
  const remarks = []
  for (const [path, set] of sets) if (/^(apps|platform)\//.test(path)) remarks.push(...(await lint(path, set)))
  const bad = await lint('control', readDocuments(control('linter.yaml')))
  const good = `every check of kube-score, ${remarks.length} remarks explained`
  return controlled({ faults: unexplained(remarks), good }, unexplained(bad, []), 9)
})
await check('metrics', async () => {
  const queries = [...sets.values()].flatMap(queriesOf)
  const told = readExposition(await scrapeService())
  const good = `${queries.length} queries ask for what the service tells`
  const faults = queries.length === 0 ? ['no alert, analysis or dashboard was rendered'] : missingMetrics(queries, told)
  return controlled({ faults, good }, missingMetrics(queriesOf(readDocuments(control('metrics.yaml'))), told), 4)
})
await check('alerts', async () => {
  await checkMonitoring()
  return { faults: [], good: 'promtool takes them, and they fire when they should' }
})
await check('mentions', async () => {
  const { texts, files } = await readTexts(repository)
  const bad = missingMentions([{ file: 'mentions.yaml', text: control('mentions.yaml') }], files, new Set())
  const good = `${texts.length} texts name no file that is gone`
  return controlled({ faults: missingMentions(texts, files), good }, bad, 2)
})
await check('workflows', async () => {
  const program = join(import.meta.dirname, 'workflows-cli.ts')
  const said = await execute('The workflows are not as they should be.', process.execPath, [program])
  return { faults: [], good: said.trim().replaceAll('\n', '; ') }
})

console.log(broken === 0 ? 'All checks passed.' : `${broken} checks failed.`)
process.exitCode = broken === 0 ? 0 : 1
