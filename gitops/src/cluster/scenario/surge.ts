import { assertNoneFailed, type Probed, probe } from '../prober.ts'
import { refresh, synced } from './argocd.ts'
import { atScale, namespace, ready } from './at-scale.ts'
import type { Context, Step } from './step.ts'

// The most pods that staging may have.
const most = { api: 4, worker: 10 }

const fullScale = `  - target: { kind: HorizontalPodAutoscaler, name: orders-api }
    patch: |-
      - { op: replace, path: /spec/minReplicas, value: ${most.api} }
  - target: { kind: ScaledObject, name: orders-worker }
    patch: |-
      - { op: replace, path: /spec/minReplicaCount, value: ${most.worker} }
`

export const surge: Step = {
  name: 'a release at full scale: the quota has room for new pods beside those that end',
  run: (context) =>
    atScale(context, fullScale, async () => {
      await ready(context, 'orders-api', most.api, 5)
      await ready(context, 'orders-worker', most.worker, 10)
      return releaseAtFullScale(context)
    }),
}

async function releaseAtFullScale(context: Context): Promise<string> {
  const { fork, images } = context
  const before = await refusedPods(context)
  const prober = probe(new URL('/version', context.address), { perSecond: 20, ca: await context.authority() })
  let probed: Probed
  try {
    const source = fork.emptyCommit('A release at full scale')
    fork.release('bump', '--env', 'local', '--image', await images.push(source), '--commit', source)
    await refresh(context, 'orders')
    await synced(context, 'the release is live', 15, ['orders'])
  } finally {
    probed = await prober.stop()
  }
  const refused = (await refusedPods(context)) - before
  if (refused > 0) throw new Error(`The quota refused to create a pod ${refused} times.`)
  return `${most.api + most.worker} pods replaced, none refused, 0 of ${assertNoneFailed(probed)} requests failed`
}

/** How often a pod was not created because of the quota. */
async function refusedPods({ kubernetes }: Context): Promise<number> {
  const events = await kubernetes.list(`/api/v1/namespaces/${namespace}/events?fieldSelector=reason%3DFailedCreate`)
  return events
    .filter(({ message }) => String(message).includes('exceeded quota'))
    .reduce((sum, { count, series }) => sum + (series?.count ?? count ?? 1), 0)
}
