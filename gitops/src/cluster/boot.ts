import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { nodes } from './addresses.ts'
import { type ControlPlane, type Programs, startControlPlane } from './control-plane.ts'
import { connect, type Kubernetes } from './kubernetes.ts'
import { createNetwork } from './network.ts'
import { type Node, startNode } from './node.ts'
import type { Running } from './processes.ts'
import { startRegistry } from './registry.ts'
import { dnsManifests, storageManifests } from './system.ts'
import { until } from './until.ts'

export type Machine = {
  folder: string
  logs: string
  plane: ControlPlane
  nodes: Node[]
  registry: Running
  kubernetes: Kubernetes
}

/** Starts a cluster below `folder`: control plane, nodes, registry. Its programs run in this process's namespaces. */
export async function boot(folder: string, programs: Programs): Promise<Machine> {
  const logs = join(folder, 'logs')
  mkdirSync(logs, { recursive: true })
  createNetwork()
  const registry = startRegistry(folder, logs)
  const plane = await startControlPlane(folder, logs, programs)
  const kubernetes = await connect(programs('kubectl'), plane.kubeconfig)
  const started: Node[] = []
  for (const address of nodes) started.push(await startNode(plane, kubernetes, address, logs, programs))
  return { folder, logs, plane, nodes: started, registry, kubernetes }
}

/** Applies what every cluster has before Argo CD, and waits until its nodes and its DNS are ready. */
export async function prepare({ folder, kubernetes }: Machine, hosts: string[]): Promise<void> {
  await kubernetes.apply(...dnsManifests(hosts), ...storageManifests(folder, 8))
  await until('nodes and DNS are ready', 5, async () => {
    const ready = (await kubernetes.list('/api/v1/nodes')).filter(({ status }) =>
      status?.conditions?.some(
        (one: { type: string; status: string }) => one.type === 'Ready' && one.status === 'True',
      ),
    )
    const dns = await kubernetes.read('/apis/apps/v1/namespaces/kube-system/deployments/coredns')
    const missing = nodes.filter(({ name }) => !ready.some(({ metadata }) => metadata.name === name))
    return [
      ...missing.map(({ name }) => `${name} is not ready`),
      ...(dns?.status?.readyReplicas === nodes.length ? [] : [`${dns?.status?.readyReplicas ?? 0} DNS pods are ready`]),
    ]
  })
}
