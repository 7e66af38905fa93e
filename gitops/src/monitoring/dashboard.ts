import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'

type Target = { refId: string; expr: string; datasource: { uid: string } }
type Panel = {
  id?: number
  type: string
  title?: string
  description?: string
  gridPos?: { x: number; y: number; w: number; h: number }
  datasource?: { uid?: string }
  targets?: Target[]
  fieldConfig?: { defaults: { unit?: string } }
}

const panelsOf = (dashboard: Dashboard) => (dashboard.panels ?? []) as Panel[]

/** Every PromQL expression of a dashboard, in order, with the variables of Grafana. */
export function expressionsOf(dashboard: Dashboard): string[] {
  return panelsOf(dashboard).flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))
}

/** What makes Grafana show a panel twice, over another one, or without what a reader needs; a sentence each. */
export function faultsOf(dashboard: Dashboard): string[] {
  const panels = panelsOf(dashboard)
  const charts = panels.filter(({ type }) => type !== 'row')
  return [
    ...repeated(panels.map(({ id }) => `panel id ${id}`)),
    ...repeated(charts.map(({ title }) => `panel title ${title}`)),
    ...charts.flatMap(chartFaults),
    ...panels.flatMap((panel, index) => panels.slice(index + 1).flatMap((other) => overlap(panel, other))),
  ]
}

function repeated(names: string[]): string[] {
  return names.filter((name, index) => names.indexOf(name) !== index).map((name) => `${name} stands twice`)
}

function chartFaults({ title, description, datasource, targets = [], fieldConfig, gridPos }: Panel): string[] {
  const faults: [boolean, string][] = [
    [!title || !description, 'has no title or no description'],
    [!fieldConfig?.defaults.unit, 'has no unit'],
    [targets.length === 0, 'asks for nothing'],
    [
      [datasource, ...targets.map((it) => it.datasource)].some((it) => it?.uid !== `\${datasource}`),
      'names a data source',
    ],
    [repeated(targets.map(({ refId }) => refId)).length > 0, 'gives two queries one name'],
    [!gridPos || gridPos.x + gridPos.w > 24, 'does not fit the page'],
  ]
  return faults.filter(([broken]) => broken).map(([, fault]) => `${title} ${fault}`)
}

function overlap({ title, gridPos: a }: Panel, { title: otherTitle, gridPos: b }: Panel): string[] {
  const apart = !a || !b || a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y
  return apart ? [] : [`${title} lies over ${otherTitle}`]
}
