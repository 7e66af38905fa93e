import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const everyMs = 500
const launcher = /(^|\/)(npm|npx|nx)(-cli)?(\.js)?$|\/node_modules\/nx\//

/**
 * Calls `onLoss` once, within a second after this process or one of the npm and nx processes above it lost its
 * parent: a killed launcher cannot tell us. A parent that is gone shows in its child, even while it is a zombie or
 * its number is taken again.
 */
export async function watchAncestors(onLoss: () => void): Promise<void> {
  const chain = await launchers()
  const check = async () => {
    for (const { pid, parent } of chain) {
      const now = await parentOf(pid)
      if (now === parent) continue
      clearInterval(timer)
      onLoss()
      return
    }
  }
  // A parent that cannot be read is looked up again by the next check.
  const timer = setInterval(() => check().catch(() => {}), everyMs)
  timer.unref()
}

/** This process and the launchers above it with their shells, each with its parent, the topmost left out. */
async function launchers(): Promise<{ pid: number; parent: number }[]> {
  const chain: { pid: number; parent: number; launched: boolean }[] = []
  for (let pid = process.pid; ; ) {
    const parent = await parentOf(pid)
    const words = (await commandOf(parent)).split(/[\0 ]/, 2)
    const launched = words.some((word) => launcher.test(word))
    if (!launched && words[1] !== '-c') break
    chain.push({ pid, parent, launched })
    pid = parent
  }
  const last = chain.findLastIndex(({ launched }) => launched)
  return last < 0 ? [{ pid: process.pid, parent: process.ppid }] : chain.slice(0, last + 1)
}

/** The parent's process id; 0 when the process is gone. */
async function parentOf(pid: number): Promise<number> {
  if (process.platform !== 'linux') return Number(await ps('ppid=', pid))
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  // The second field, the program's name in brackets, may hold anything.
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0)
}

async function commandOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') return ps('command=', pid)
  return readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
}

async function ps(column: string, pid: number): Promise<string> {
  const output = await promisify(execFile)('ps', ['-o', column, '-p', String(pid)]).catch(() => ({ stdout: '' }))
  return output.stdout.trim()
}
