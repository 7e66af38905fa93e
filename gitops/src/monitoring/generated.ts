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
export function writeGenerated(): void {
  for (const [name, text] of Object.entries(files())) writeFileSync(join(folder, name), text)
}

/** The committed files that are not what their sources say, relative to gitops/. */
export function staleFiles(): string[] {
  return Object.entries(files())
    .map(([name, text]) => ({ path: join(folder, name), text }))
    .filter(({ path, text }) => !existsSync(path) || readFileSync(path, 'utf8') !== text)
    .map(({ path }) => relative(gitopsRoot, path))
}
