import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export interface Process {
  pid: number
  parent: number
  command: string
}

/** The processes of this machine; zombies are gone already. */
export function processes(): Process[] {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,stat=,args='], { encoding: 'utf8' }).split('\n')
    return lines.flatMap((line) => {
      const [, pid, parent, state, command] = /^ *(\d+) +(\d+) +(\S+) +(.*)$/.exec(line) ?? []
      return command && !state?.startsWith('Z') ? [{ pid: Number(pid), parent: Number(parent), command }] : []
    })
  }
  return readdirSync('/proc').flatMap((name) => {
    try {
      const command = readFileSync(`/proc/${Number(name)}/cmdline`, 'utf8').replaceAll('\0', ' ')
      const stat = readFileSync(`/proc/${Number(name)}/stat`, 'utf8')
      const parent = Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2])
      return command ? [{ pid: Number(name), parent, command }] : []
    } catch {
      return []
    }
  })
}

/** The process `pid` and all below it. */
export function family(pid: number, all: Process[] = processes()): Process[] {
  const root = all.filter((process) => process.pid === pid)
  const children = all.filter((process) => process.parent === pid)
  return [...root, ...children.flatMap((child) => family(child.pid, all))]
}

/** Where in the kernel each thread of a process waits, to tell a program that works from one that hangs; Linux only. */
export function threads(pid: number): string {
  const read = (thread: string, file: string) => readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'utf8').trim()
  try {
    const all = readdirSync(`/proc/${pid}/task`).map((thread) => `${read(thread, 'comm')} ${read(thread, 'wchan')}`)
    return all.join(', ')
  } catch {
    return ''
  }
}

/** Those of `before` that still run. */
export function survivors(before: Process[]): Process[] {
  const now = new Set(processes().map(({ pid }) => pid))
  return before.filter(({ pid }) => now.has(pid))
}
