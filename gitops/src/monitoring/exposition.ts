import { selectorsOf } from './promql.ts'

/** What a scrape holds: each series name (with _bucket and the like) and its labels. */
export type Exposition = Map<string, Set<string>>

// Prometheus itself makes these, and gives every series the labels of its target.
const made: [string, string[]][] = [['up', []]]
const targetLabels = new Set(['job', 'instance', 'namespace', 'pod', 'service', 'container', 'endpoint'])

/** Reads the text format of /metrics. A name without a sample is none that can be asked for. */
export function readExposition(text: string): Exposition {
  const found: Exposition = new Map(made.map(([name, labels]) => [name, new Set(labels)]))
  for (const line of text.split('\n')) {
    const [, name, labels = ''] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+/.exec(line) ?? []
    if (name === undefined) continue
    const known = found.get(name) ?? new Set()
    for (const [, label] of labels.matchAll(/(\w+)="(?:[^"\\]|\\.)*"/g)) known.add(label as string)
    found.set(name, known)
  }
  return found
}

/** What an expression asks for that no scrape holds, a sentence each. Throws what `selectorsOf` throws. */
export function missingFrom(exposition: Exposition, expr: string): string[] {
  return selectorsOf(expr).flatMap(({ metric, labels }) => {
    const known = exposition.get(metric)
    if (!known) return [`/metrics has no ${metric}, which is asked for by ${expr}`]
    return labels
      .filter((label) => !known.has(label) && !targetLabels.has(label))
      .map((label) => `${metric} of /metrics has no label ${label}, which is asked for by ${expr}`)
  })
}
