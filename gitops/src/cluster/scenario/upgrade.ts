import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readApplications } from '../../applications.ts'
import { until } from '../until.ts'
import { commit, refresh, synced } from './argocd.ts'
import { smoke } from './first-sync.ts'
import { followGuide } from './guide.ts'
import type { Step } from './step.ts'

const file = 'gitops/argocd/base/applications/argocd.yaml'

export const upgrade: Step = {
  name: 'Argo CD is upgraded by its own Application',
  onlyLocal: true,
  run: async (context) => {
    const { fork, kubernetes, local } = context
    const chart = (await readApplications('local')).find(({ name }) => name === 'argocd')?.chart
    if (chart === undefined || local === undefined) throw new Error('There is no chart of Argo CD.')
    const next = chart.version.replace(/\d+$/, (patch) => `${Number(patch) + 1}`)
    await local.charts.publish({ ...chart, version: next })
    const pods = async () =>
      (await kubernetes.list('/api/v1/namespaces/argocd/pods')).map(({ metadata }) => String(metadata.uid))
    const before = await pods()
    await commit(context, `Upgrade Argo CD to chart ${next}`, () => {
      const path = join(fork.clone, file)
      writeFileSync(
        path,
        readFileSync(path, 'utf8').replace(`targetRevision: ${chart.version}`, `targetRevision: ${next}`),
      )
    })
    const started = performance.now()
    await until('every pod of Argo CD is new', 10, async () => {
      const left = (await pods()).filter((uid) => before.includes(uid))
      return left.length === 0 ? [] : [`${left.length} pods are of the old version`]
    })
    const took = Math.round((performance.now() - started) / 1000)
    await refresh(context)
    await synced(context, 'everything Synced and Healthy after the upgrade', 10)
    return `chart ${chart.version} to ${next} in ${took} s`
  },
}

export const nextKubernetes: Step = {
  name: 'the control plane is upgraded to the next minor version of Kubernetes',
  onlyLocal: true,
  run: async (context) => {
    const { kubernetes, local } = context
    if (local === undefined) throw new Error('This step needs the processes of the control plane.')
    const version = async () => String((await kubernetes.read('/version'))?.gitVersion)
    const before = await version()
    await local.machine.plane.upgrade((name) => local.programs(`${name}-next`))
    const after = await version()
    if (after === before) throw new Error(`The API server still reports ${after}.`)
    await refresh(context)
    await synced(context, 'everything Synced and Healthy on the next version', 10)
    await smoke(context)
    return `${before} to ${after}, with nodes of the old version`
  },
}

export const teardown: Step = {
  name: 'the service and its entry are taken down, and nothing of them stays',
  run: async (context) => {
    await followGuide(context, 'kubectl --namespace argocd delete application root')
    const started = performance.now()
    for (const name of ['orders', 'gateway']) {
      await followGuide(context, 'kubectl --namespace argocd patch', { orders: name })
      await followGuide(context, 'kubectl --namespace argocd delete application orders', { orders: name })
    }
    for (const namespace of ['orders-local', 'gateway']) {
      await until(`the namespace ${namespace} is gone`, 5, async () =>
        (await context.kubernetes.read(`/api/v1/namespaces/${namespace}`)) === undefined ? [] : ['it is there'],
      )
    }
    return `${Math.round((performance.now() - started) / 1000)} s`
  },
}
