import {
  type Dashboard,
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { type Chart, datasource, figure, graph } from './panels.ts'
import { failed, latency, requests, target } from './queries.ts'
import { rows } from './rows.ts'

const figures: Chart[] = [
  {
    title: 'Requests',
    description: 'Ordinary requests a second: no probes, imports, exports or streams.',
    unit: 'reqps',
    queries: [{ expr: `sum(${requests()})` }],
  },
  {
    title: 'Errors',
    description: 'Share of the ordinary requests that were answered with a status of 500 or more.',
    unit: 'percentunit',
    queries: [{ expr: `(sum(${requests(failed)}) or vector(0)) / sum(${requests()})` }],
  },
  {
    title: 'Time to answer, p95',
    description: 'Nineteen ordinary requests in twenty are answered faster than this.',
    unit: 's',
    queries: [{ expr: latency(0.95) }],
  },
  {
    title: 'Pods up',
    description: 'Pods that answer the scrapes of Prometheus.',
    unit: 'short',
    queries: [{ expr: `sum(up{${target}})` }],
  },
]

/** Rate, errors and time to answer, then what is behind them. */
export function ordersDashboard(): Dashboard {
  const page = new DashboardBuilder('Orders')
    .uid('orders')
    .description('The orders API and its worker, as their own /metrics tell.')
    .tags(['orders'])
    .tooltip(DashboardCursorSync.Crosshair)
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .timezone('browser')
    .readonly()
    .withVariable(new DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'))
    .withVariable(
      new QueryVariableBuilder('namespace')
        .label('Namespace')
        .datasource(datasource)
        .query({ query: 'label_values(up{job="orders-api"}, namespace)', refId: 'namespace' })
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .includeAll(true)
        .allValue('.*') // also series without a namespace, of a Prometheus outside a cluster
        .multi(true)
        .current({ text: 'All', value: '$__all' }),
    )
  for (const about of figures) page.withPanel(figure(about))
  for (const [heading, graphs] of Object.entries(rows)) {
    page.withRow(new RowBuilder(heading))
    for (const about of graphs) page.withPanel(graph(about))
  }
  const dashboard = page.build()
  for (const [index, panel] of (dashboard.panels ?? []).entries()) panel.id = index + 1
  return dashboard
}
