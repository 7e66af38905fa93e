import { type Exposition, missingFrom } from '../monitoring/exposition.ts'
import { withoutVariables } from '../monitoring/promql.ts'
import { type Document, nameOf } from '../rules/documents.ts'

type Query = { where: string; expr: string }
type Monitoring = {
  groups?: { rules: { alert?: string; record?: string; expr: string }[] }[]
  metrics?: { name: string; provider?: { prometheus?: { query: string } } }[]
  triggers?: { type: string; name?: string; metadata: { query?: string } }[]
}
type Panel = { title?: string; panels?: Panel[]; targets?: { expr?: string }[] }

/** Every PromQL query of a set: alerts and records, analyses of a canary, what scales by it, panels of dashboards. */
export function queriesOf(set: Document[]): Query[] {
  return set.flatMap((document) => {
    const { groups = [], metrics = [], triggers = [] } = (document.spec ?? {}) as Monitoring
    const where = nameOf(document)
    if (document.kind === 'PrometheusRule') {
      return groups.flatMap(({ rules }) =>
        rules.map(({ alert, record, expr }) => ({ where: `${where} ${alert ?? record}`, expr })),
      )
    }
    if (/AnalysisTemplate$/.test(document.kind)) {
      return metrics.flatMap(({ name, provider }) => {
        const query = provider?.prometheus?.query
        return query ? [{ where: `${where} ${name}`, expr: query.replace(/\{\{.*?\}\}/g, 'argument') }] : []
      })
    }
    if (document.kind === 'ScaledObject') {
      return triggers.flatMap(({ type, name, metadata: { query } }) =>
        type === 'prometheus' && query ? [{ where: `${where} ${name}`, expr: query }] : [],
      )
    }
    if (document.kind !== 'ConfigMap' || document.metadata.labels?.grafana_dashboard === undefined) return []
    return Object.values(document.data ?? {}).flatMap((json) =>
      panelQueries(where, (JSON.parse(json) as { panels: Panel[] }).panels),
    )
  })
}

function panelQueries(where: string, panels: Panel[]): Query[] {
  return panels.flatMap(({ title, panels: inner = [], targets = [] }) => [
    ...targets.flatMap(({ expr }) => (expr ? [{ where: `${where} ${title}`, expr: withoutVariables(expr) }] : [])),
    ...panelQueries(where, inner),
  ])
}

/** What queries ask for that the service does not tell, a sentence each. */
export function missingMetrics(queries: Query[], exposition: Exposition): string[] {
  return [
    ...new Set(queries.flatMap(({ where, expr }) => missingFrom(exposition, expr).map((says) => `${where}: ${says}`))),
  ]
}
