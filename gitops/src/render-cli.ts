import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { renderAll } from './render.ts'

const usage = `Renders every overlay of every target.

Usage: nx run gitops:render [-- --out DIR] [PATH...]

  --out DIR   writes DIR/PATH.yaml, a file a folder, instead of all to standard output
  PATH        only these folders, as apps/orders/overlays/local`

try {
  const { values, positionals } = parseArgs({
    options: { out: { type: 'string' }, help: { type: 'boolean' } },
    allowPositionals: true,
  })
  if (values.help) console.log(usage)
  else await render(values.out, positionals.length > 0 ? positionals : undefined)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

async function render(out: string | undefined, paths: string[] | undefined) {
  for (const { path, yaml } of await renderAll(undefined, paths)) {
    if (out === undefined) {
      console.log(`# gitops/${path}\n---\n${yaml.trimEnd()}\n---`)
      continue
    }
    const file = join(out, `${path}.yaml`)
    await mkdir(dirname(file), { recursive: true })
    await writeFile(file, yaml)
  }
}
