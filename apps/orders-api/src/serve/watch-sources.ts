import { type FSWatcher, globSync, watch } from 'node:fs'

const settleMs = 100
const temporary = /^\.|~$|^4913$/

/**
 * Watches all folders that match the patterns, new ones too. `next()` starts over and resolves after the next change,
 * once nothing has changed for 100 ms.
 *
 * One watcher per folder: Node's recursive watch goes blind on Linux to a file that an editor has replaced by renaming.
 */
export function watchSources(patterns: string[], onFault: (error: Error) => void) {
  let watchers: FSWatcher[] = []
  let timer: NodeJS.Timeout | undefined
  let change = Promise.withResolvers<void>()

  const rewatch = () => {
    const old = watchers
    watchers = []
    for (const folder of globSync(patterns.map((pattern) => `${pattern}/**/`))) {
      try {
        watchers.push(watch(folder, onEvent).on('error', onFault))
      } catch (error) {
        // A folder may be deleted while we look.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') onFault(error as Error)
      }
    }
    for (const watcher of old) watcher.close()
  }
  const onEvent = (_event: string, file: string | null) => {
    if (file && temporary.test(file)) return
    clearTimeout(timer)
    timer = setTimeout(() => {
      rewatch()
      change.resolve()
    }, settleMs)
  }

  rewatch()
  return {
    next(): Promise<void> {
      clearTimeout(timer)
      change = Promise.withResolvers()
      return change.promise
    },
  }
}
