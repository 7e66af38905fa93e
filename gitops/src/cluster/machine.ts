import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, rmdirSync } from 'node:fs'
import { until } from './until.ts'

/** The cgroup below which every pod runs; nothing else of the machine does. */
export const cgroup = 'orders-cluster'

/**
 * Runs a program as the first process of namespaces of its own (network, mounts, processes). When it ends, or this
 * process does, the kernel ends every process in them, and addresses, routes, packet filter rules and mounts go with them.
 * Answers the exit status.
 */
export async function runInNamespaces(program: string, args: string[]): Promise<number> {
  const namespaces = ['--net', '--mount', '--propagation=private', '--pid', '--fork', '--kill-child', '--mount-proc']
  // The first process of a namespace inherits orphans: a shell collects them, Node.js does not.
  const shell = ['bash', '-c', '"$@" & wait $!', 'init']
  const child = spawn('unshare', [...namespaces, ...shell, program, ...args], { stdio: 'inherit' })
  // unshare ignores signals while it waits; --kill-child passes this one on.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill('SIGKILL'))
  const [code] = await once(child, 'exit')
  await until('the cgroups are empty', 1, async () => removeCgroups())
  return code ?? 1
}

/** Removes the empty cgroups that a cluster leaves, and answers those in use; version 1 has a tree for each controller. */
function removeCgroups(): string[] {
  const busy: string[] = []
  for (const root of globSync(`/sys/fs/cgroup/{,*/}${cgroup}`)) {
    const folders = globSync(`${root}/**/`).sort((a, b) => b.length - a.length)
    for (const folder of [...folders, root]) {
      try {
        if (existsSync(folder)) rmdirSync(folder)
      } catch (error) {
        busy.push(`${folder}: ${(error as Error).message}`)
      }
    }
  }
  return busy
}
