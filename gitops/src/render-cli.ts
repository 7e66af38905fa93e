import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { readApplications } from './applications.ts'
import { templateChart } from './helm.ts'
import { type Rendered, renderAll, targetNames } from './render.ts'

const usage = `Renders what every target is given: all overlays, and with --charts the charts of the add-ons.

Usage: nx run gitops:render [-- --out DIR] [--charts] [PATH...]

  --out DIR   writes DIR/PATH.yaml, a file a folder, instead of all to standard output
  --charts    also charts/TARGET/NAME.yaml, which needs helm and the network
  PATH        only these folders, as apps/orders/overlays/local`

try {
  const { values, positionals } = parseArgs({
    options: { out: { type: 'string' }, charts: { type: 'boolean' }, help: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (values.help) console.log(usage)
  else {
    const paths = positionals.length > 0 ? positionals : undefined
    for (const rendered of await renderAll(undefined, paths)) await write(values.out, rendered)
    if (values.charts) for await (const rendered of charts()) await write(values.out, rendered)
  }
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

async function* charts(): AsyncGenerator<Rendered> {
  for (const target of targetNames()) {
    for (const application of await readApplications(target)) {
      if (application.chart === undefined) continue
      const path = `charts/${target}/${application.name}`
      yield { path, yaml: await templateChart(application, application.chart) }
    }
  }
}

async function write(out: string | undefined, { path, yaml }: Rendered): Promise<void> {
  if (out === undefined) {
    console.log(`# gitops/${path}\n---\n${yaml.trimEnd()}\n---`)
    return
  }
  const file = join(out, `${path}.yaml`)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, yaml)
}
