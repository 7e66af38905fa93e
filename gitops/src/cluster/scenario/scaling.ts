import { until } from '../until.ts'
import type { Context, Step } from './step.ts'

const namespace = 'orders-local'

const replicas = async ({ kubernetes }: Context, name: string): Promise<number> =>
  (await kubernetes.read(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`))?.status?.readyReplicas ?? 0

export const drain: Step = {
  name: 'a node drains: budgets are honoured, and no request fails',
  onlyLocal: true,
  run: async (context) => {
    const { kubernetes } = context
    const { probe } = await import('../prober.ts')
    const pods = await kubernetes.list(
      `/api/v1/namespaces/${namespace}/pods?labelSelector=app.kubernetes.io/name%3Dorders-api`,
    )
    const node = pods[0]?.spec?.nodeName
    if (node === undefined) throw new Error('No pod of the API runs anywhere.')
    const prober = probe(new URL('/readyz', context.address), { perSecond: 20, ca: await context.authority() })
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
      await kubernetes.kubectl('uncordon', node)
    }
    const ready = await replicas(context, 'orders-api')
    const { requests, failures } = await prober.stop()
    if (failures.length > 0) throw new Error(`${failures.length} of ${requests} requests failed: ${failures[0]}.`)
    return `${node} drained with ${ready} pods of the API ready, 0 of ${requests} requests failed`
  },
}
