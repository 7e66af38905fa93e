import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readFileSync, rmdirSync } from 'node:fs'
import { until } from './until.ts'

/** What of a cluster could stay on this machine: its addresses, packet filter rules, sets and mounts. */
const trace = /orders-cluster|\b172\.30\.|\b10\.96\.|KUBE-|CNI-|cni0|containerd\/io/

/** The lines of reports about this machine that name something of a cluster. */
export const tracesIn = (reports: string[]): string[] =>
  reports.flatMap((report) => report.split('\n').filter((line) => trace.test(line)))

/** What clusters left on this machine; empty when they left nothing. */
export function traces(): string[] {
  const report = (program: string, ...args: string[]) => execFileSync(program, args, { encoding: 'utf8' })
  const mounts = readFileSync('/proc/self/mounts', 'utf8')
  const packets = [report('iptables-save'), report('ipset', 'list', '-name')]
  const processes = report('ps', '-eo', 'args')
    .split('\n')
    .filter((line) => /^\S*(kubelet|etcd|kube-\S+) --/.test(line))
  return [...tracesIn([report('ip', '-oneline', 'address'), ...packets, mounts]), ...cgroups(), ...processes]
}

const cgroups = () => globSync(`/sys/fs/cgroup/{,*/}${cgroup}`)

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
  // Without a word: the last line of a run is that of its steps.
  await until(
    'the cgroups are empty',
    1,
    async () => removeCgroups(),
    100,
    () => {},
  )
  return code ?? 1
}

/** Removes the empty cgroups that a cluster leaves, and answers those in use; version 1 has a tree for each controller. */
function removeCgroups(): string[] {
  const busy: string[] = []
  for (const root of cgroups()) {
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
