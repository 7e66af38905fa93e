import { type Container, type Document, type Labels, ofKind, type PodSpec } from './documents.ts'

/** The pods that a resource makes: how many at once at most, and what they are like. */
export type Pods = {
  owner: Document
  labels: Labels
  spec: PodSpec
  /** Jobs end; the others serve until they are stopped. */
  ends: boolean
  /** An operator writes these pods: their security is its business, not the manifest's. */
  operated: boolean
  least: number
  most: number
}

/** Every kind of pod that this set makes, the ones that an operator will make included. */
export function podsOf(set: Document[]): Pods[] {
  return set.flatMap((owner) => {
    const { kind, spec = {}, metadata } = owner
    if (kind === 'Cluster' && owner.apiVersion.startsWith('postgresql.cnpg.io/')) return [databasePods(owner)]
    if (kind === 'Gateway') return proxyPods(set, owner)
    if (!['Deployment', 'StatefulSet', 'Rollout', 'Job', 'DaemonSet'].includes(kind)) return []
    const template = kind === 'Rollout' && spec.workloadRef ? templateOfReference(set, owner) : spec.template
    if (!template?.spec) return []
    const labels = template.metadata?.labels ?? {}
    const ends = kind === 'Job'
    const base = { owner, labels, spec: template.spec, ends, operated: false }
    if (ends) return [{ ...base, least: 0, most: 1 }]
    if (kind === 'Deployment' && spec.replicas === 0 && rolloutOf(set, metadata.name)) return []
    const scaler = scalerOf(set, owner)
    const least = scaler?.least ?? spec.replicas ?? 1
    const replicas = scaler?.most ?? spec.replicas ?? 1
    const most = replicas + surgeOf(owner, replicas) + drainingOf(owner, template.spec, replicas)
    return [{ ...base, least, most }]
  })
}

/** The containers of a pod, the initial ones first. */
export const containersOf = ({ spec }: Pods): Container[] => [...(spec.initContainers ?? []), ...spec.containers]

/** The Rollout that runs a Deployment's template in its place. */
export const rolloutOf = (set: Document[], deployment: string) =>
  ofKind(set, 'Rollout').find(
    ({ spec }) => spec?.workloadRef?.kind === 'Deployment' && spec.workloadRef.name === deployment,
  )

function templateOfReference(set: Document[], { spec }: Document) {
  const { kind, name } = spec?.workloadRef ?? {}
  return set.find((document) => document.kind === kind && document.metadata.name === name)?.spec?.template
}

/** The bounds of the autoscaler of a workload. */
export function scalerOf(set: Document[], { kind, metadata }: Document) {
  for (const { kind: scaler, spec = {} } of ofKind(set, 'HorizontalPodAutoscaler', 'ScaledObject')) {
    const target = spec.scaleTargetRef
    if (target?.name !== metadata.name || (target.kind ?? 'Deployment') !== kind) continue
    if (scaler === 'ScaledObject') return { least: spec.minReplicaCount ?? 0, most: spec.maxReplicaCount ?? 100 }
    return { least: spec.minReplicas ?? 1, most: spec.maxReplicas ?? 1 }
  }
  return undefined
}

function surgeOf({ spec = {} }: Document, replicas: number): number {
  // Where the Gateway divides the requests, the old pods all stay until the new ones are as many.
  if (spec.strategy?.canary?.trafficRouting) return replicas
  const surge = spec.strategy?.canary?.maxSurge ?? spec.strategy?.rollingUpdate?.maxSurge ?? '25%'
  return typeof surge === 'number' ? surge : Math.ceil((Number.parseInt(surge, 10) / 100) * replicas)
}

/**
 * How many pods may be ending beside those that run. The controllers count none of them, and start others before they are
 * gone; a quota and a database count all of them. In an update one pod a time is replaced, after `minReadySeconds` at the
 * earliest, and each takes its whole grace. A canary waits longer than that between its steps: the pods of one that another
 * release took the place of end beside the first pods of that release.
 */
function drainingOf(
  { spec = {} }: Document,
  { terminationGracePeriodSeconds = 30 }: PodSpec,
  replicas: number,
): number {
  if (spec.strategy?.canary?.trafficRouting) return Number(spec.strategy.canary.maxSurge ?? 1)
  return Math.min(replicas, Math.ceil(terminationGracePeriodSeconds / Math.max(1, spec.minReadySeconds ?? 0)))
}

// What Envoy Gateway makes: proxies that listen on 10000 and the port of each listener, in a namespace of their own.
function proxyPods(set: Document[], owner: Document): Pods[] {
  const [proxy] = ofKind(set, 'EnvoyProxy')
  if (!proxy) return []
  const { replicas = 1 } = proxy.spec?.provider?.kubernetes?.envoyDeployment ?? {}
  const listeners = (owner.spec?.listeners ?? []).map(({ port }) => ({ containerPort: 10_000 + port }))
  const labels = {
    'app.kubernetes.io/name': 'envoy',
    'gateway.envoyproxy.io/owning-gateway-name': owner.metadata.name,
  }
  const container: Container = { name: 'envoy', ports: [...listeners, { name: 'metrics', containerPort: 19_001 }] }
  const base = { owner, labels, spec: { containers: [container] }, ends: false, operated: true }
  return [{ ...base, least: replicas, most: replicas + 1 }]
}

// What CloudNativePG makes: instances that listen here, and one Job at a time that prepares or joins an instance.
function databasePods(owner: Document): Pods {
  const { spec = {}, metadata } = owner
  const ports = [
    { name: 'postgresql', containerPort: 5432 },
    { name: 'status', containerPort: 8000 },
    { name: 'metrics', containerPort: 9187 },
  ]
  const container: Container = { name: 'postgres', ports, ...(spec.resources ? { resources: spec.resources } : {}) }
  const labels = { 'cnpg.io/cluster': metadata.name }
  const instances = spec.instances ?? 1
  return {
    owner,
    labels,
    spec: { containers: [container] },
    ends: false,
    operated: true,
    least: instances,
    most: instances + 1,
  }
}
