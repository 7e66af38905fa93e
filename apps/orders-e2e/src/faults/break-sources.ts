import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

/** `file` is relative to the workspace. A global expression is replaced everywhere, anything else once. */
export type Change = readonly [file: string, from: string | RegExp, to: string]

const workspace = new URL('../../../../', import.meta.url)

/**
 * Changes sources before this process loads them, for a service that is broken on purpose. Throws an Error if a source does
 * not contain `from`.
 */
export function breakSources(changes: readonly Change[]): void {
  const broken = new Map<string, string>()
  for (const [file, from, to] of changes) {
    const { href } = new URL(file, workspace)
    const source = broken.get(href) ?? readFileSync(new URL(href), 'utf8')
    const changed = source.replace(from, to)
    if (changed === source) throw new Error(`${file} does not contain ${from}: this control needs a change`)
    broken.set(href, changed)
  }
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context)
      const source = broken.get(url)
      return source === undefined ? loaded : { ...loaded, source }
    },
  })
}

/** Those of `choices` that the query of a preload's URL names. Throws an Error that lists all if it names another, or none. */
export function named<T>(url: string, choices: Record<string, T>): T[] {
  const names = new URL(url).search.slice(1).split(',')
  return names.map((name) => {
    const choice = choices[name]
    if (choice === undefined) throw new Error(`${name || 'nothing'} is none of ${Object.keys(choices).join(', ')}`)
    return choice
  })
}

/** The setting of a service that starts with these preloads of this folder, such as `without-drain.ts`. */
export const preloaded = (...names: string[]) => ({
  NODE_OPTIONS: names.map((name) => `--import=${new URL(name, import.meta.url).href}`).join(' '),
})
