import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Probed, probe } from '../prober.ts'
import { until } from '../until.ts'
import { commit, synced } from './argocd.ts'
import { ask, signIn, startLoad } from './client.ts'
import { restoring } from './restoring.ts'
import type { Context, Step } from './step.ts'

const namespace = 'orders-local'
const leastPods = 2
const importedOrders = 100_000

const replicas = async ({ kubernetes }: Context, name: string): Promise<number> =>
  (await kubernetes.read(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`))?.status?.readyReplicas ?? 0

export const drain: Step = {
  name: 'a node drains: budgets are honoured, and no request fails',
  onlyLocal: true,
  run: (context) => atScale(context, () => drainNode(context)),
}

export const scaling: Step = {
  name: 'the API scales by CPU, and the worker by its backlog, up and down to their minimum',
  run: (context) =>
    atScale(context, async () => `the API: ${await scaleApi(context)}; the worker: ${await scaleWorker(context)}`),
}

/** Scaling down waits 15 s instead of 5 min. */
const impatient = `patches:
  - target: { kind: HorizontalPodAutoscaler, name: orders-api }
    patch: |-
      - { op: replace, path: /spec/behavior/scaleDown/stabilizationWindowSeconds, value: 15 }
      - { op: replace, path: /spec/behavior/scaleDown/policies/0/periodSeconds, value: 15 }
  - target: { kind: ScaledObject, name: orders-worker }
    patch: |-
      - { op: replace, path: /spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds, value: 15 }
      - { op: replace, path: /spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/policies/0/periodSeconds, value: 15 }
`

/** Runs `act` while the service has the scale of a target that is not for development. */
async function atScale(context: Context, act: () => Promise<string>): Promise<string> {
  const file = join(context.fork.clone, 'gitops/apps/orders/overlays/local/kustomization.yaml')
  const original = readFileSync(file, 'utf8')
  const write = (text: string) => () => writeFileSync(file, text)
  const scaled = async () => {
    await commit(
      context,
      'Scale as staging does',
      write(original.replace('  - ../../components/dev\n', '') + impatient),
    )
    await synced(context, 'the service is at scale', 10, ['orders'])
    await until('the API has its least number of pods', 3, async () => {
      const ready = await replicas(context, 'orders-api')
      return ready === leastPods ? [] : [`${ready} are ready`]
    })
    return act()
  }
  return restoring(scaled, async () => {
    await commit(context, 'Scale as a laptop does', write(original))
    await synced(context, 'the service is at its own scale', 10, ['orders'])
  })
}

async function drainNode(context: Context): Promise<string> {
  const { kubernetes } = context
  const pods = await kubernetes.list(
    `/api/v1/namespaces/${namespace}/pods?labelSelector=app.kubernetes.io/name%3Dorders-api`,
  )
  const node = pods[0]?.spec?.nodeName
  if (node === undefined) throw new Error('No pod of the API runs anywhere.')
  // Not /readyz: a pod that ends answers it with 503, and every other request as before.
  const prober = probe(new URL('/version', context.address), { perSecond: 20, ca: await context.authority() })
  let probed: Probed
  try {
    await kubernetes.kubectl(
      'drain',
      node,
      '--ignore-daemonsets',
      '--delete-emptydir-data',
      '--timeout=300s',
      '--pod-selector=app.kubernetes.io/name in (orders-api,orders-worker)',
    )
    await until('the pods run elsewhere', 3, async () => {
      const left = await kubernetes.list(`/api/v1/namespaces/${namespace}/pods?fieldSelector=spec.nodeName%3D${node}`)
      return left
        .filter(({ metadata }) => /^orders-(api|worker)-/.test(metadata.name))
        .map(({ metadata }) => metadata.name)
    })
  } finally {
    probed = await prober.stop()
    await kubernetes.kubectl('uncordon', node)
  }
  const ready = await replicas(context, 'orders-api')
  const { requests, failures } = probed
  if (failures.length > 0)
    throw new Error(`${failures.length} of ${requests} requests failed, from ${failures[0]} to ${failures.at(-1)}.`)
  return `${node} drained with ${ready} pods of the API ready, 0 of ${requests} requests failed`
}

async function scaleApi(context: Context): Promise<string> {
  const load = await startLoad(context, 16)
  let most: number
  try {
    most = await scaledUp(context, 'orders-api', leastPods)
  } finally {
    await load.stop()
  }
  return `${leastPods} to ${most} and ${await scaledDown(context, 'orders-api', leastPods)}`
}

/** Imports orders faster than one worker confirms them. */
async function scaleWorker(context: Context): Promise<string> {
  const before = await replicas(context, 'orders-worker')
  if (before !== 1) throw new Error(`${before} workers are ready before there is a backlog.`)
  const { headers } = await signIn(context)
  const line = (number: number) => JSON.stringify({ id: `backlog-${number}`, amount: 1 })
  const body = Array.from({ length: importedOrders }, (_, number) => line(number)).join('\n')
  const imported = ask(context, '/api/v1/orders/import', {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/x-ndjson' },
    body,
  })
  const [scaled, answered] = await Promise.allSettled([scaledUp(context, 'orders-worker', 1), imported])
  if (answered.status === 'rejected') throw answered.reason
  const { status, body: report } = answered.value
  if (status !== 200) throw new Error(`The import was answered with ${status}: ${report.slice(0, 200)}`)
  if (scaled.status === 'rejected') throw scaled.reason
  const most = scaled.value
  return `1 to ${most} and ${await scaledDown(context, 'orders-worker', 1)}`
}

/** Waits for more ready pods than `minimum`, and answers how many there are. */
async function scaledUp(context: Context, name: string, minimum: number): Promise<number> {
  let ready = 0
  await until(`${name} has more than ${minimum} pods`, 8, async () => {
    ready = await replicas(context, name)
    return ready > minimum ? [] : [`${ready} are ready`]
  })
  return ready
}

async function scaledDown(context: Context, name: string, minimum: number): Promise<string> {
  await until(`${name} is back at ${minimum}`, 10, async () => {
    const ready = await replicas(context, name)
    return ready === minimum ? [] : [`${ready} are ready`]
  })
  return `back to ${minimum}`
}
