import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { ordersDashboard } from '../dashboards/orders.ts'
import { gitopsRoot } from '../render.ts'
import { ruleFile } from './rules.ts'

const folder = join(gitopsRoot, 'apps/orders/components/monitoring/generated')

const files = () => ({
  'orders.json': `${JSON.stringify(ordersDashboard(), null, 2)}\n`,
  'orders.rules.yaml': ruleFile(),
})

/** Where the rule file lies that promtool and a Prometheus without an operator read. */
export const ruleFilePath = join(folder, 'orders.rules.yaml')

/** Writes the dashboard and the rule file anew. */
export function writeGenerated(to = folder): void {
  for (const [name, text] of Object.entries(files())) writeFileSync(join(to, name), text)
}

/** The files that are not what their sources say, relative to gitops/; those that are committed unless told otherwise. */
export function staleFiles(at = folder): string[] {
  return Object.entries(files())
    .map(([name, text]) => ({ path: join(at, name), text }))
    .filter(({ path, text }) => !existsSync(path) || readFileSync(path, 'utf8') !== text)
    .map(({ path }) => relative(gitopsRoot, path))
}
