import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** A process, by its id and its command line. */
export type Leftover = { pid: number; command: string }

/** The processes that work in a folder or name it on their command line; the caller and its ancestors are not counted. */
export function leftovers(folder: string): Leftover[] {
  const own = new Set(ancestors(process.pid))
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && !own.has(Number(entry)))
    .map((pid) => ({ pid: Number(pid), command: commandOf(pid), cwd: read(() => readlinkSync(`/proc/${pid}/cwd`)) }))
    .filter(({ command, cwd }) => command.includes(folder) || `${cwd}/`.startsWith(`${folder}/`))
    .map(({ pid, command }) => ({ pid, command: command || '(ending)' }))
}

function ancestors(pid: number): number[] {
  const parent = Number(/^PPid:\s+(\d+)/m.exec(read(() => readFileSync(`/proc/${pid}/status`, 'utf8')))?.[1] ?? 0)
  return parent > 0 ? [pid, ...ancestors(parent)] : [pid]
}

function commandOf(pid: string): string {
  return read(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
    .replaceAll('\0', ' ')
    .trim()
}

// A process may end while it is looked at.
function read(look: () => string): string {
  try {
    return look()
  } catch {
    return ''
  }
}
