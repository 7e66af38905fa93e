import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'

/** An alert as Prometheus takes it. */
export type Alert = {
  alert: string
  expr: string
  for?: string
  labels: { severity: string }
  annotations: { summary: string; description: string; runbook_url: string }
}

type PrometheusRule = { spec: { groups: { name: string; rules: Alert[] }[] } }

const source = join(import.meta.dirname, '../../apps/orders/components/monitoring/rules.yaml')

const groups = () => (parse(readFileSync(source, 'utf8')) as PrometheusRule).spec.groups

/** The alerts of the PrometheusRule. */
export const readAlerts = (): Alert[] => groups().flatMap(({ rules }) => rules)

/** The same groups as a rule file of a Prometheus without an operator; its runbooks are paths of this repository. */
export function ruleFile(): string {
  const local = groups().map(({ name, rules }) => ({ name, rules: rules.map(withLocalRunbook) }))
  return `# Made of ../rules.yaml by nx run gitops:update-monitoring; do not edit.\n${stringify({ groups: local }, { lineWidth: 0 })}`
}

function withLocalRunbook(alert: Alert): Alert {
  const runbook_url = alert.annotations.runbook_url.replace(/^.*\/blob\/HEAD\//, '')
  return { ...alert, annotations: { ...alert.annotations, runbook_url } }
}
