import { assertNoneFailed, type Probed, probe } from '../prober.ts'
import { until } from '../until.ts'
import { atScale, namespace, ready, replicas } from './at-scale.ts'
import { ask, signIn, startLoad } from './client.ts'
import type { Context, Step } from './step.ts'

const leastPods = 2
const importedOrders = 100_000

export const drain: Step = {
  name: 'a node drains: budgets are honoured, and no request fails',
  onlyLocal: true,
  run: (context) =>
    atScale(context, impatient, async () => {
      await ready(context, 'orders-api', leastPods, 3)
      return drainNode(context)
    }),
}

export const scaling: Step = {
  name: 'the API scales by CPU, and the worker by its backlog, up and down to their minimum',
  run: (context) =>
    atScale(context, impatient, async () => {
      await ready(context, 'orders-api', leastPods, 3)
      return `the API: ${await scaleApi(context)}; the worker: ${await scaleWorker(context)}`
    }),
}

/** Scaling down waits 15 s instead of 5 min. */
const impatient = `  - target: { kind: HorizontalPodAutoscaler, name: orders-api }
    patch: |-
      - { op: replace, path: /spec/behavior/scaleDown/stabilizationWindowSeconds, value: 15 }
      - { op: replace, path: /spec/behavior/scaleDown/policies/0/periodSeconds, value: 15 }
  - target: { kind: ScaledObject, name: orders-worker }
    patch: |-
      - { op: replace, path: /spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/stabilizationWindowSeconds, value: 15 }
      - { op: replace, path: /spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleDown/policies/0/periodSeconds, value: 15 }
`

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
  const left = await replicas(context, 'orders-api')
  return `${node} drained with ${left} pods of the API ready, 0 of ${assertNoneFailed(probed)} requests failed`
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
  let most = 0
  await until(`${name} has more than ${minimum} pods`, 8, async () => {
    most = await replicas(context, name)
    return most > minimum ? [] : [`${most} are ready`]
  })
  return most
}

async function scaledDown(context: Context, name: string, minimum: number): Promise<string> {
  await ready(context, name, minimum, 10)
  return `back to ${minimum}`
}
