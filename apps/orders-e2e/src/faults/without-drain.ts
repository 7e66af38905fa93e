/** Preload of a service that is broken on purpose: a shutdown does not end imports and streams. */
import { registerHooks } from 'node:module'

const ending = "for (const entry of open) if (entry.kind !== 'export') end(entry, shuttingDown())"

registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    if (!url.endsWith('/orders-api/src/long-responses/registry.ts')) return loaded
    const source = String(loaded.source)
    if (!source.includes(ending)) throw new Error('registry.ts has no such loop: this control needs a change')
    return { ...loaded, source: source.replace(ending, '') }
  },
})
