import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { probe } from '../prober.ts'
import { until } from '../until.ts'
import { commit, synced } from './argocd.ts'
import type { Context, Step } from './step.ts'

const namespace = 'orders-local'

const replicas = async ({ kubernetes }: Context, name: string): Promise<number> =>
  (await kubernetes.read(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`))?.status?.readyReplicas ?? 0

export const drain: Step = {
  name: 'a node drains: budgets are honoured, and no request fails',
  onlyLocal: true,
  run: (context) => atScale(context, () => drainNode(context)),
}

/** Runs `act` while the service has the scale of a target that is not for development. */
async function atScale(context: Context, act: () => Promise<string>): Promise<string> {
  const file = join(context.fork.clone, 'gitops/apps/orders/overlays/local/kustomization.yaml')
  const original = readFileSync(file, 'utf8')
  const write = (text: string) => () => writeFileSync(file, text)
  try {
    await commit(context, 'Scale as staging does', write(original.replace('  - ../../components/dev\n', '')))
    await synced(context, 'the service is at scale', 10, ['orders'])
    return await act()
  } finally {
    await commit(context, 'Scale as a laptop does', write(original))
    await synced(context, 'the service is at its own scale', 10, ['orders'])
  }
}

async function drainNode(context: Context): Promise<string> {
  const { kubernetes } = context
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
}
