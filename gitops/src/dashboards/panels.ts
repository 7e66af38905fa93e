import * as common from '@grafana/grafana-foundation-sdk/common'
import { DataqueryBuilder } from '@grafana/grafana-foundation-sdk/prometheus'
import { PanelBuilder as StatBuilder } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as TimeseriesBuilder } from '@grafana/grafana-foundation-sdk/timeseries'

/** `legend` is a template of Grafana, as `{{handler}}`; an only series needs none. */
export type Query = { expr: string; legend?: string }

export type Chart = {
  title: string
  /** What a reader learns from it. */
  description: string
  /** Grafana's name of the unit, as `s` or `reqps`. */
  unit: string
  queries: Query[]
}

export type Graph = Chart & { stacked?: boolean }

/** The Prometheus that the reader picks on top of the page. */
export const datasource = { type: 'prometheus', uid: '${' + 'datasource}' }

/** The figure of now, with its recent course behind it; a quarter of the page wide. */
export function figure(chart: Chart): StatBuilder {
  return described(new StatBuilder(), chart).graphMode(common.BigValueGraphMode.Area).span(6).height(4)
}

/** A graph over time, a third of the page wide. */
export function graph(chart: Graph): TimeseriesBuilder {
  const panel = described(new TimeseriesBuilder(), chart)
    .lineWidth(1)
    .fillOpacity(chart.stacked ? 40 : 10)
    .showPoints(common.VisibilityMode.Never)
    .min(0)
    .legend(
      new common.VizLegendOptionsBuilder()
        .showLegend(chart.queries.some(({ legend }) => legend !== undefined))
        .placement(common.LegendPlacement.Bottom)
        .displayMode(common.LegendDisplayMode.List),
    )
    .tooltip(
      new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
    )
    .span(8)
    .height(8)
  if (chart.stacked) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal))
  return panel
}

function described<T extends StatBuilder | TimeseriesBuilder>(
  panel: T,
  { title, description, unit, queries }: Chart,
): T {
  panel.title(title).description(description).unit(unit).datasource(datasource)
  for (const [index, { expr, legend }] of queries.entries()) {
    const query = new DataqueryBuilder()
      .refId(String.fromCharCode(65 + index))
      .datasource(datasource)
      .expr(expr)
      .range()
    panel.withTarget(legend === undefined ? query : query.legendFormat(legend))
  }
  return panel
}
