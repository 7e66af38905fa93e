import { repositoryUrl } from '../fork.ts'
import { until } from '../until.ts'
import type { Context, Step } from './step.ts'

type Attempt = {
  what: string
  project: string
  namespace?: string
  server?: string
  repository?: string
  manifest: unknown
}

const configMap = (namespace: string) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'attempt', namespace },
})
const namespaceNamed = (name: string, labels = {}) => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name, labels },
})

/** What a project must not let an Application do, and one thing that it must. */
const attempts = (project: string, own: string): Attempt[] => [
  { what: 'a namespace of somebody else', project, manifest: configMap('kube-system') },
  {
    what: 'a kind that it does not list',
    project,
    manifest: { apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'attempt', namespace: own } },
  },
  { what: 'another cluster', project, server: 'https://203.0.113.7', manifest: configMap(own) },
  {
    what: 'another repository',
    project,
    repository: 'https://git.orders.internal/foreign/orders',
    manifest: configMap(own),
  },
  {
    what: 'a namespace object of another name',
    project,
    manifest: namespaceNamed('default', { 'pod-security.kubernetes.io/enforce': 'privileged' }),
  },
  {
    what: 'a cluster-scoped kind',
    project,
    manifest: {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'attempt' },
      rules: [],
    },
  },
]

async function tryAttempt(context: Context, attempt: Attempt, own: string): Promise<string> {
  const { fork, kubernetes } = context
  fork.branch('attempt', { 'attempt/manifest.json': JSON.stringify(attempt.manifest) })
  const name = 'attempt'
  await kubernetes.apply({
    apiVersion: 'argoproj.io/v1alpha1',
    kind: 'Application',
    metadata: { name, namespace: 'argocd', finalizers: ['resources-finalizer.argocd.argoproj.io'] },
    spec: {
      project: attempt.project,
      destination: { server: attempt.server ?? 'https://kubernetes.default.svc', namespace: own },
      source: { repoURL: attempt.repository ?? repositoryUrl, targetRevision: 'attempt', path: 'attempt' },
      syncPolicy: { automated: {}, retry: { limit: 0 }, syncOptions: ['ServerSideApply=true'] },
    },
  })
  let outcome = ''
  const path = `/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/${name}`
  await until(`outcome of ${attempt.what}`, 2, async () => {
    const status = (await kubernetes.read(path))?.status
    const conditions = (status?.conditions ?? []) as { type: string; message: string }[]
    const refused = conditions.find(({ type }) => /InvalidSpecError|ComparisonError/.test(type))
    const { phase, message } = status?.operationState ?? {}
    if (refused !== undefined) outcome = `refused: ${refused.message}`
    else if (phase === 'Failed' || phase === 'Error') outcome = `refused: ${message}`
    else if (phase === 'Succeeded') outcome = 'carried out'
    return outcome === '' ? ['no outcome yet'] : []
  })
  await kubernetes.kubectl('-n', 'argocd', 'delete', 'application', name, '--wait=true')
  return outcome
}

export const refusals: Step = {
  name: 'Argo CD refuses what the projects do not allow',
  run: async (context) => {
    const before = JSON.stringify((await context.kubernetes.read('/api/v1/namespaces/default'))?.metadata.labels)
    let refused = 0
    for (const project of ['orders', 'previews']) {
      const exists = await context.kubernetes.read(
        `/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/${project}`,
      )
      if (exists === undefined) continue
      const own = project === 'orders' ? 'orders-local' : 'orders-pr-1'
      for (const attempt of attempts(project, own)) {
        const outcome = await tryAttempt(context, attempt, own)
        if (!outcome.startsWith('refused')) throw new Error(`Project ${project}: ${attempt.what} was ${outcome}.`)
        refused += 1
      }
    }
    const control = await tryAttempt(
      context,
      { what: 'what is allowed', project: 'orders', manifest: configMap('orders-local') },
      'orders-local',
    )
    if (control !== 'carried out') throw new Error(`The control, an allowed ConfigMap, was ${control}.`)
    const after = JSON.stringify((await context.kubernetes.read('/api/v1/namespaces/default'))?.metadata.labels)
    if (before !== after) throw new Error(`The namespace default was changed from ${before} to ${after}.`)
    return `${refused} refused, 1 allowed`
  },
}
