/** Preload of a service that is broken on purpose: nobody handles the rejection of a stream's position. */
import { registerHooks } from 'node:module'

const handler = /,\s*\(\) => \{\},?\s*\)/

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    if (!url.endsWith('/orders-api/src/stream/feeds.ts')) return loaded
    const source = String(loaded.source)
    if (!handler.test(source)) throw new Error('feeds.ts has no such handler: this control needs a change')
    return { ...loaded, source: source.replace(handler, ')') }
  },
})
