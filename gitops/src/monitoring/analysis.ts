import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { gitopsRoot } from '../render.ts'
import { promtool } from './promtool.ts'

type Metric = {
  name: string
  interval: string
  failureLimit: number
  successCondition: string
  provider: { prometheus: { query: string } }
}

const source = join(gitopsRoot, 'apps/orders/components/canary/analysis.yaml')
const test = join(gitopsRoot, 'test/rules/canary/analysis.test.yaml')

/**
 * The analysis of a canary as a rule file for promtool, for the namespace orders-prod. An alert is pending while a
 * measurement fails, and fires when the analysis aborts: after more failed measurements in a row than `failureLimit`.
 */
export async function analysisRules(): Promise<string> {
  const { spec } = parse(await readFile(source, 'utf8')) as { spec: { metrics: Metric[] } }
  const rules = spec.metrics.map(({ name, interval, failureLimit, successCondition, provider }) => ({
    alert: name,
    expr: `(${provider.prometheus.query.replaceAll('{{args.namespace}}', 'orders-prod')}) >= ${limitOf(successCondition)}`,
    for: `${failureLimit * Number.parseInt(interval, 10)}s`,
  }))
  return stringify({ groups: [{ name: 'canary', interval: '30s', rules }] }, { lineWidth: 0 })
}

// An empty result and NaN succeed, as they raise no alert.
function limitOf(successCondition: string): string {
  const [, limit] =
    /^len\(result\) == 0 \|\| isNaN\(result\[0\]\) \|\| result\[0\] < ([\d.]+)$/.exec(successCondition) ?? []
  if (limit === undefined) throw new Error(`${successCondition} is not a limit that analysisRules can translate`)
  return limit
}

/** Runs the promtool tests of the analysis on a rule file. Throws what promtool reports. */
export async function checkAnalysis(rules: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-analysis-'))
  try {
    await writeFile(join(folder, 'rules.yaml'), rules)
    await writeFile(join(folder, 'analysis.test.yaml'), await readFile(test))
    await promtool('test', 'rules', join(folder, 'analysis.test.yaml'))
  } finally {
    await rm(folder, { recursive: true })
  }
}
