import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Fork } from '../fork.ts'
import { until } from '../until.ts'
import { application, commit, synced } from './argocd.ts'
import { restoring } from './restoring.ts'
import type { Context, Step } from './step.ts'

type PullRequests = NonNullable<Context['local']>['forge']['pullRequests']

const applicationSets = '/apis/argoproj.io/v1alpha1/namespaces/argocd/applicationsets/previews'

export const preview: Step = {
  name: 'a pull request gets a preview, and all of it goes with the label',
  onlyLocal: true,
  run: async (context) => {
    const { kubernetes, local } = context
    if (local === undefined) throw new Error('This step needs the API of the forge.')
    await commit(context, 'Make previews in this cluster', () => addPreviews(context.fork))
    await until('the ApplicationSet is there', 3, async () =>
      (await kubernetes.read(applicationSets)) === undefined ? ['no ApplicationSet'] : [],
    )
    const namespaces = (await kubernetes.list('/api/v1/namespaces')).map(({ metadata }) => metadata.name)
    const { pullRequests } = local.forge
    const live = await restoring(
      () => previewIsLive(context, pullRequests),
      async () => {
        pullRequests.splice(0)
        await requeue(context)
        await until('nothing of the preview is left', 5, async () => {
          const left = (await kubernetes.list('/api/v1/namespaces')).map(({ metadata }) => metadata.name)
          return left.filter((name) => !namespaces.includes(name)).map((name) => `namespace ${name}`)
        })
      },
    )
    await synced(context, 'everything else is as before', 5)
    return `${live} objects came and went; the pull request without the label got none`
  },
}

/** Previews are of the cluster of dev: gives their overlay the facts, the host and the authority of this one. */
function addPreviews(fork: Fork): void {
  fork.addComponent('argocd/overlays/local', '../../components/previews')
  fork.addComponent('platform/gateway/overlays/local', '../../components/previews')
  const edit = (file: string, change: (text: string) => string) => {
    const path = join(fork.clone, 'gitops', file)
    writeFileSync(path, change(readFileSync(path, 'utf8')))
  }
  edit('platform/gateway/overlays/local/kustomization.yaml', (text) => `${text}${ownListener}`)
  edit('apps/orders/overlays/preview/kustomization.yaml', (text) =>
    text
      .replace('targets/dev-azure', 'targets/local')
      .replace('components/public', 'components/local')
      .replace(previewListener, `${previewListener}${ownHost}`)
      .concat(ownAlias),
  )
}

const ownListener = `patches:
  - target: { kind: Gateway, name: orders }
    patch: |-
      - { op: replace, path: /spec/listeners/2/hostname, value: '*.dev.localhost' }
`
const previewListener = '      - { op: replace, path: /spec/parentRefs/0/sectionName, value: previews }\n'
// A certificate for every name below one label would match none.
const ownHost = '      - { op: replace, path: /spec/hostnames/0, value: orders.dev.localhost }\n'
// The last replacement of the overlay writes the host of the preview.
const ownAlias = `      - select: { kind: Job, name: orders-smoke }
        fieldPaths: [spec.template.spec.hostAliases.0.hostnames.0]
`

/** Labels one pull request of two, and returns how many objects its preview has once it is live. */
async function previewIsLive(context: Context, pullRequests: PullRequests): Promise<number> {
  const { fork, images } = context
  const sha = fork.emptyCommit('A change')
  await images.push(sha, undefined, `sha-${sha}`)
  pullRequests.push({ number: 7, sha, labels: ['preview'] }, { number: 8, sha, labels: [] })
  await requeue(context)
  await until('the preview is live', 8, async () => {
    const { status } = await application(context, 'orders-pr-7').catch(() => ({ status: undefined }))
    const state = `${status?.sync?.status} ${status?.health?.status} ${status?.operationState?.phase}`
    return state === 'Synced Healthy Succeeded' ? [] : [`${state} ${status?.operationState?.message ?? ''}`]
  })
  return objects(context, 'orders-pr-7')
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
