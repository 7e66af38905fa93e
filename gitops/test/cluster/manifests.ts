import { parseAllDocuments } from 'yaml'
import { build } from '../../src/kustomize.ts'

type Probe = { httpGet: { path: string } }

export type Container = {
  command: string[]
  args: string[]
  env?: { name: string; value: string }[]
  envFrom?: { configMapRef: { name: string } }[]
  startupProbe?: Probe
  livenessProbe?: Probe
  readinessProbe?: Probe
  volumeMounts: { name: string; mountPath: string }[]
}
type Volume = {
  name: string
  secret?: { secretName: string }
  projected?: { sources: { secret: { name: string } }[] }
}

// biome-ignore lint/suspicious/noExplicitAny: a manifest is whatever its kind says
export type Manifest = { kind: string; metadata: { name: string }; spec: any; data: Record<string, string> }

/** The documents of an overlay, found by kind and name. Throws for one that is not there. */
export async function readManifests(folder: string) {
  const documents = parseAllDocuments(await build(folder)).map((document) => document.toJS() as Manifest)
  return function find(kind: string, name: string): Manifest {
    const found = documents.find((it) => it.kind === kind && it.metadata.name === name)
    if (found === undefined) throw new Error(`${folder} has no ${kind} ${name}`)
    return found
  }
}

export type Find = Awaited<ReturnType<typeof readManifests>>

/** The one container of a workload, and the environment that a pod of it would have. */
export function containerOf(find: Find, kind: string, name: string) {
  const container = onlyContainer(find, kind, name)
  const shared = (container.envFrom ?? []).map(({ configMapRef }) => find('ConfigMap', configMapRef.name).data)
  const own = Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value]))
  return { container, env: Object.assign({}, ...shared, own) as Record<string, string> }
}

/** The names of the Secrets whose keys are files below `mountPath`. */
export function secretsAt(find: Find, kind: string, name: string, mountPath: string): string[] {
  const pod = find(kind, name).spec.template.spec as { volumes: Volume[] }
  const mount = onlyContainer(find, kind, name).volumeMounts.find((it) => it.mountPath === mountPath)
  const volume = pod.volumes.find((it) => it.name === mount?.name)
  if (volume?.secret !== undefined) return [volume.secret.secretName]
  return (volume?.projected?.sources ?? []).map(({ secret }) => secret.name)
}

function onlyContainer(find: Find, kind: string, name: string): Container {
  const [container, ...others] = find(kind, name).spec.template.spec.containers as Container[]
  if (container === undefined || others.length > 0) throw new Error(`${kind} ${name} has not one container`)
  return container
}
