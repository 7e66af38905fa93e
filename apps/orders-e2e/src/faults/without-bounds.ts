/**
 * Preload of a service that is broken on purpose, without backpressure: streams do not wait for their clients, and the
 * budget of buffered bytes is never full.
 */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const sources = new URL('../../../orders-api/src/', import.meta.url)
const changes: [file: string, from: RegExp, to: string][] = [
  ['stream/hub.ts', /out\.writableNeedDrain/g, 'false'],
  ['outgoing/budget.ts', /(?<=function fullFor\(.*\{\n)/, '    return undefined\n'],
]
const broken = new Map(
  changes.map(([file, from, to]) => {
    const { href } = new URL(file, sources)
    const source = readFileSync(new URL(href), 'utf8')
    if (source.search(from) < 0)
      throw new Error(`${file} does not match ${from}: update the changes in without-bounds.ts`)
    return [href, source.replace(from, to)]
  }),
)

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    const source = broken.get(url)
    return source === undefined ? loaded : { ...loaded, source }
  },
})
