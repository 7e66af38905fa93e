import type { Chart } from '../applications.ts'
import { chartSource } from './chart-sources.ts'
import { differences } from './differences.ts'
import { versionOf } from './pins.ts'

/** What of a run was what its project publishes, and what was not, a line each. */
export function provenance(charts: Chart[], programs: string[]): string[] {
  const unmodified = programs.filter((name) => differences[name] === undefined)
  const packed = charts.map(({ name, version }) => ({ name, version, source: chartSource(name, programs) }))
  const own = packed.filter(({ source }) => source?.kind === 'chart')
  return [
    `Built from unmodified modules: ${unmodified.map((name) => `${name} ${versionOf(name)}`).join(', ')}.`,
    `Charts as their projects have them: ${own.map(({ name, version }) => `${name} ${version}`).join(', ')}.`,
    'Different from what is published:',
    ...Object.entries(differences).map(([name, note]) => `  ${name}: ${note}`),
    ...packed
      .filter(({ source }) => source?.kind !== 'chart')
      .map(
        ({ name, version, source }) => `  chart ${name} ${version}: ${source?.kind ?? 'none'}, ${source?.note ?? ''}`,
      ),
    '  flagd: a stub that answers its probes, because its module does not build',
    '  nodes: two kubelets on this machine, each in network and mount namespaces of its own',
  ]
}
