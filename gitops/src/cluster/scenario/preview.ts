import { until } from '../until.ts'
import { application, commit, synced } from './argocd.ts'
import type { Context, Step } from './step.ts'

const applicationSets = '/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/previews'

export const preview: Step = {
  name: 'a pull request gets a preview, and all of it goes with the label',
  onlyLocal: true,
  run: async (context) => {
    const { kubernetes, fork, images, local } = context
    if (local === undefined) throw new Error('This step needs the API of the forge.')
    await commit(context, 'Make previews in this cluster', () =>
      fork.addComponent('argocd/overlays/local', '../../components/previews'),
    )
    await until('the ApplicationSet is there', 3, async () =>
      (await kubernetes.read(applicationSets)) === undefined ? ['no ApplicationSet'] : [],
    )
    const sha = fork.emptyCommit('A change')
    await images.push(sha, undefined, `sha-${sha}`)
    const namespaces = (await kubernetes.list('/api/v1/namespaces')).map(({ metadata }) => metadata.name)
    local.forge.pullRequests.push({ number: 7, sha, labels: ['preview'] }, { number: 8, sha, labels: [] })
    await requeue(context)
    await until('the preview is live', 8, async () => {
      const { status } = await application(context, 'orders-pr-7').catch(() => ({ status: undefined }))
      const state = `${status?.sync?.status} ${status?.health?.status} ${status?.operationState?.phase}`
      return state === 'Synced Healthy Succeeded' ? [] : [`${state} ${status?.operationState?.message ?? ''}`]
    })
    const live = await objects(context, 'orders-pr-7')
    local.forge.pullRequests.splice(0)
    await requeue(context)
    await until('nothing of the preview is left', 5, async () => {
      const left = (await kubernetes.list('/api/v1/namespaces')).map(({ metadata }) => metadata.name)
      return left.filter((name) => !namespaces.includes(name)).map((name) => `namespace ${name}`)
    })
    await synced(context, 'everything else is as before', 5)
    return `${live} objects came and went; the pull request without the label got none`
  },
}

/** The generator asks every five minutes by itself; a webhook of the forge makes it ask now, as an annotation does. */
const requeue = ({ kubernetes }: Context) =>
  kubernetes.kubectl(
    ...['-n', 'argocd', 'annotate', '--overwrite', 'applicationset', 'previews'],
    'argocd.argoproj.io/application-set-refresh=true',
  )

async function objects({ kubernetes }: Context, namespace: string): Promise<number> {
  const kinds = ['deployments', 'services', 'configmaps', 'secrets', 'jobs', 'pods', 'networkpolicies']
  const found = await kubernetes.kubectl('-n', namespace, 'get', kinds.join(','), '--output=name')
  return found.split('\n').length
}
