import { parser } from '@prometheus-io/lezer-promql'

/** A series selector: the metric, and the labels that it or a grouping of its expression names. */
export type Selector = { metric: string; labels: string[] }

/** What Grafana fills in before it asks Prometheus, by something of the same kind. */
const variables: Record<string, string> = { $__rate_interval: '5m', $__range: '1h', $namespace: '.*' }

/** An expression as Prometheus gets it. Throws an Error that names a variable which nobody fills in. */
export function withoutVariables(expr: string): string {
  return expr.replace(/\$\w+/g, (name) => {
    const value = variables[name]
    if (value === undefined) throw new Error(`${name} is not a variable of the dashboards: define it, or write $$.`)
    return value
  })
}

/** The series that an expression asks for, in order. Throws an Error that shows where it is not PromQL. */
export function selectorsOf(expr: string): Selector[] {
  const found: Selector[] = []
  parser.parse(expr).iterate({
    enter({ name, type, from, node }) {
      if (type.isError) throw new Error(`not PromQL at "${expr.slice(from, from + 20)}" of ${expr}`)
      if (name !== 'VectorSelector') return
      const identifier = node.getChild('Identifier')
      if (!identifier) throw new Error(`a selector without the name of its metric in ${expr}`)
      const matchers = node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []
      const labels = matchers.map((matcher) => {
        const label = matcher.getChild('LabelName')
        return label ? expr.slice(label.from, label.to) : ''
      })
      found.push({ metric: expr.slice(identifier.from, identifier.to), labels })
    },
  })
  return found
}
