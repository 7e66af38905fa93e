import { globSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { ordersDashboard } from '../dashboards/orders.ts'
import { gitopsRoot } from '../render.ts'
import { analysisRules, checkAnalysis } from './analysis.ts'
import { expressionsOf } from './dashboard.ts'
import { ruleFilePath, staleFiles } from './generated.ts'
import { withoutVariables } from './promql.ts'
import { promtool } from './promtool.ts'

/**
 * Checks what needs no running service: generated files are what their sources say, promtool takes the rules and every
 * expression of the dashboard, and the rules and the analysis of a canary do what their tests say. Throws an Error with what is wrong.
 */
export async function checkMonitoring(): Promise<void> {
  const stale = staleFiles()
  if (stale.length > 0) {
    throw new Error(`${stale.join(' and ')} are not what their sources say: run npx nx run gitops:update-monitoring.`)
  }
  await promtool('check', 'rules', '--lint=all', '--lint-fatal', ruleFilePath)
  await checkExpressions(expressionsOf(ordersDashboard()))
  await promtool('test', 'rules', ...globSync('test/rules/*.test.yaml', { cwd: gitopsRoot }).map(inGitops))
  await checkAnalysis(await analysisRules())
}

const inGitops = (path: string) => join(gitopsRoot, path)

/** Lets promtool read expressions of a dashboard, types included. Throws an Error that names those it refuses. */
export async function checkExpressions(expressions: string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-dashboard-'))
  try {
    const rules = expressions.map((expr, index) => ({ record: `panel_${index}`, expr: withoutVariables(expr) }))
    const file = join(folder, 'dashboard.rules.yaml')
    await writeFile(file, stringify({ groups: [{ name: 'dashboard', rules }] }))
    await promtool('check', 'rules', file)
  } finally {
    await rm(folder, { recursive: true })
  }
}
