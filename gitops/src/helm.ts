import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { stringify } from 'yaml'
import type { Application, Chart } from './applications.ts'
import { targetVersion } from './tools/kubernetes-versions.ts'

const run = promisify(execFile)

/** The chart and its values, as arguments of `helm template` and `helm upgrade`. */
export function chartArguments({ namespace }: Application, chart: Chart, valueFiles = chart.valueFiles): string[] {
  return [
    chart.release,
    ...locationOf(chart),
    '--version',
    chart.version,
    '--namespace',
    namespace,
    ...valueFiles.flatMap((file) => ['--values', file]),
  ]
}

/** A chart repository is an https:// address; Argo CD takes a name without a scheme for an OCI registry. */
const locationOf = ({ repository, name }: Chart): string[] =>
  repository.includes('://') ? [name, '--repo', repository] : [`oci://${repository}/${name}`]

/** What a chart is with the values of its Application, as YAML. Throws an Error: one sentence, or what helm says. */
export async function templateChart(application: Application, chart: Chart): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'orders-chart-'))
  try {
    const values = join(folder, 'values.yaml')
    await writeFile(values, stringify(chart.values ?? {}))
    const args = ['template', ...chartArguments(application, chart, [...chart.valueFiles, values])]
    // Without a cluster to query, helm would assume the version that it was built with.
    args.push('--include-crds', '--kube-version', targetVersion)
    const { stdout } = await run('helm', args, { maxBuffer: 256 * 1024 * 1024 })
    return stdout
  } catch (error) {
    throw new Error(explainHelm(error, application.name))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** One sentence for a helm that is not there, else what helm said. */
export function explainHelm(error: unknown, name: string): string {
  const { code, stderr, message } = error as { code?: string; stderr?: string; message: string }
  // EACCES: a folder of PATH that this user may not enter, and no helm in the others.
  if (code === 'ENOENT' || code === 'EACCES') return 'This needs helm 3.14 or newer: install it and put it on PATH.'
  return `The chart of ${name} cannot be used: ${stderr?.trim() || message}`
}
