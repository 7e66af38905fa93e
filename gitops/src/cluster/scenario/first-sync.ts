import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { applications, synced } from './argocd.ts'
import { followGuide } from './guide.ts'
import type { Context, Step } from './step.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '../../../..')
const usualMs = 600_000
const mostSlowness = 2.5
const waveOf = (annotations: Record<string, string> | undefined) =>
  Number(annotations?.['argocd.argoproj.io/sync-wave'] ?? 0)

export const firstSync: Step = {
  name: 'first sync from empty: everything Synced and Healthy, no manual step',
  run: async (context) => {
    const started = performance.now()
    await followGuide(context, 'npx nx run gitops:bootstrap', { 'staging-aws': 'local' })
    await synced(context, 'everything Synced and Healthy', 35)
    context.slowness = Math.min(mostSlowness, Math.max(1, (performance.now() - started) / usualMs))
    await followGuide(context, 'kubectl --namespace argocd wait')
    return `${(await applications(context)).length} Applications; limits times ${context.slowness.toFixed(1)}`
  },
}

/** Namespaces that the cluster creates, not this repository. */
const clusterNamespaces = ['kube-system', 'local-path-storage']

type Container = { where: string; requests: Record<string, string> }
type OfPod = { name: string; resources?: { requests?: Record<string, string> } }

export const requests: Step = {
  name: 'every running container has requests of CPU and memory',
  run: async ({ kubernetes }) => {
    const pods = (await kubernetes.list('/api/v1/pods')).filter(
      ({ status, metadata }) => status?.phase === 'Running' && !clusterNamespaces.includes(metadata.namespace ?? ''),
    )
    const containers = pods.flatMap(({ metadata, spec }) =>
      ((spec?.containers ?? []) as OfPod[]).map(({ name, resources }) => ({
        where: `${metadata.namespace}/${metadata.name} ${name}`,
        requests: resources?.requests ?? {},
      })),
    )
    const without = withoutRequests(containers)
    if (without.length > 0) throw new Error(`Containers without requests of CPU and memory: ${without.join(', ')}.`)
    const spoiled = containers.map(({ where }) => ({ where, requests: { cpu: '1' } }))
    if (withoutRequests(spoiled).length === 0) throw new Error('Containers without a request of memory would pass.')
    return `${containers.length} containers`
  },
}

const withoutRequests = (containers: Container[]) =>
  containers
    .filter(({ requests }) => requests.cpu === undefined || requests.memory === undefined)
    .map(({ where }) => where)

export const waves: Step = {
  name: 'waves run in order',
  run: async (context) => {
    const seen = (await applications(context))
      .map(({ metadata }) => ({
        name: metadata.name,
        wave: waveOf(metadata.annotations),
        at: metadata.creationTimestamp ?? '',
      }))
      .sort((a, b) => a.at.localeCompare(b.at))
    const wrong = disorder(seen)
    if (wrong.length > 0) throw new Error(`Created before an earlier wave: ${wrong.join(', ')}.`)
    if (disorder([...seen].reverse()).length === 0) throw new Error('The reverse order would pass as well.')
    return `${new Set(seen.map(({ wave }) => wave)).size} waves`
  },
}

/** Which of a list in the order of creation came before one of an earlier wave. */
const disorder = (seen: { name: string; wave: number; at: string }[]) =>
  seen.filter((one, index) => seen.slice(index + 1).some(({ wave }) => wave < one.wave)).map(({ name }) => name)

/** Runs the service's own smoke test as a client outside the cluster, which trusts the cluster's authority alone. */
export async function smoke(context: Context): Promise<void> {
  const file = join(context.folder, 'authority.crt')
  writeFileSync(file, await context.authority())
  const env = { ...process.env, NODE_EXTRA_CA_CERTS: file }
  await run(process.execPath, ['apps/orders-api/src/smoke.ts', context.address.href], { cwd: root, env })
}

export const smokeTest: Step = {
  name: 'smoke test over HTTPS, through the gateway',
  run: async (context) => {
    await smoke(context)
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: '' }
    const untrusting = run(process.execPath, ['apps/orders-api/src/smoke.ts', context.address.href], { cwd: root, env })
    const failed = await untrusting.then(
      () => false,
      () => true,
    )
    if (!failed) throw new Error('A client that does not know the authority was served as well.')
    return `${context.address.href} serves a guest`
  },
}
