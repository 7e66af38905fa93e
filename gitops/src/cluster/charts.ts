import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import type { Chart } from '../applications.ts'
import { type ChartSource, chartSource } from './chart-sources.ts'
import { pushChart } from './images/registry.ts'

export type ChartRepositories = {
  hosts: string[]
  /** Answers a request for an index or a package. */
  serve: (host: string, path: string, response: ServerResponse) => void
  /** Makes a further version of a chart available, as a release of it would. */
  publish: (chart: Chart) => Promise<void>
}

type Package = { chart: Chart; archive: Buffer; metadata: Record<string, unknown> }

/**
 * Chart repositories that have the charts of `wanted`, made of the sources that Go modules contain. Charts in OCI format go
 * to `registry`, whose address is an URL.
 */
export async function createChartRepositories(
  wanted: Chart[],
  registry: string,
  programs: string[],
): Promise<ChartRepositories> {
  const packages: Package[] = []
  const publish = async (chart: Chart) => {
    const made = await packageChart(chart, chartSource(chart.name, programs))
    if (chart.repository.startsWith('https://')) packages.push(made)
    else await pushChart(registry, ociRepository(chart), chart.version, made.metadata, made.archive)
  }
  for (const chart of wanted) await publish(chart)
  const hosts = new Set(packages.map(({ chart }) => new URL(chart.repository).host))
  const serve = (host: string, path: string, response: ServerResponse) => {
    const here = packages.filter(({ chart }) => `https://${host}${path}`.startsWith(`${chart.repository}/`))
    const found = here.find(({ chart }) => path.endsWith(`/${fileName(chart)}`))
    if (found !== undefined) response.writeHead(200, { 'content-type': 'application/gzip' }).end(found.archive)
    else if (here.length > 0 && path.endsWith('/index.yaml')) response.writeHead(200).end(indexText(here))
    else response.writeHead(404).end('Not found\n')
  }
  return { hosts: [...hosts], serve, publish }
}

/** Below the host of its registry. */
const ociRepository = ({ repository, name }: Chart) => `${repository.replace(/^[^/]+\//, '')}/${name}`

const fileName = ({ name, version }: Chart) => `${name}-${version}.tgz`

function indexText(packages: Package[]): string {
  const entries: Record<string, unknown[]> = {}
  for (const { chart, metadata } of packages) {
    entries[chart.name] = [...(entries[chart.name] ?? []), { ...metadata, urls: [fileName(chart)] }]
  }
  return stringify({ apiVersion: 'v1', entries })
}

/** Packs a chart as `helm package` does, with the version that the Application asks for. */
export async function packageChart(chart: Chart, source: ChartSource | undefined): Promise<Package> {
  if (source === undefined)
    throw new Error(`No source of the chart ${chart.name} is known: name it in chart-sources.ts.`)
  const work = mkdtempSync(join(tmpdir(), 'orders-chart-'))
  try {
    const folder = join(work, chart.name)
    for (const part of ['templates', 'crds']) mkdirSync(join(folder, part), { recursive: true })
    if ('folder' in source) {
      const from = await source.folder()
      // A page among the templates would be read as one.
      const filter = (path: string) => !path.endsWith('.md')
      cpSync(from, folder, { recursive: true, dereference: true, filter })
      for (const [name, text] of Object.entries((await source.files?.(from)) ?? {}))
        writeFileSync(join(folder, name), text)
    } else
      for (const [name, text] of Object.entries(await source.templates(chart))) writeFileSync(join(folder, name), text)
    const own = chartMetadata(folder)
    // A published chart contains its dependencies; the sources lack those of other projects, which all are switched off.
    const dependencies = own.dependencies?.filter(({ name }) => existsSync(join(folder, 'charts', name)))
    const appVersion =
      'appVersion' in source ? `${own.appVersion?.startsWith('v') ? 'v' : ''}${source.appVersion}` : chart.version
    const named = { name: chart.name, version: chart.version, appVersion }
    const metadata = { ...own, ...named, ...(dependencies && { dependencies }) }
    rmSync(join(folder, 'Chart.lock'), { force: true })
    writeFileSync(join(folder, 'Chart.yaml'), stringify(metadata))
    const archive = join(work, 'chart.tgz')
    const fixed = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--mode=u+w']
    execFileSync('tar', ['--create', '--gzip', '--file', archive, '--directory', work, ...fixed, chart.name])
    return { chart, archive: readFileSync(archive), metadata }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

type Metadata = { appVersion?: string; dependencies?: { name: string }[]; [key: string]: unknown }

function chartMetadata(folder: string): Metadata {
  for (const name of ['Chart.yaml', 'Chart.template.yaml']) {
    try {
      return parse(readFileSync(join(folder, name), 'utf8')) as Metadata
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return { apiVersion: 'v2' }
}
