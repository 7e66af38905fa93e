import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import type { Resource } from '../kubernetes.ts'
import { until } from '../until.ts'
import { commit, synced } from './argocd.ts'
import type { Context, Step } from './step.ts'

const namespace = 'orders-local'
const seconds = (since: number) => `${((performance.now() - since) / 1000).toFixed(1)} s`

/** Waits until a resource is as a condition wants it, and answers how long that took. */
async function becomes(context: Context, path: string, what: string, is: (found: Resource | undefined) => boolean) {
  const started = performance.now()
  await until(what, 3, async () => (is(await context.kubernetes.read(path)) ? [] : [`${path} is not so yet`]), 200)
  return seconds(started)
}

export const drift: Step = {
  name: 'Argo CD heals drift: a changed label, a deleted Service, a scaled Deployment',
  run: async (context) => {
    const { kubectl } = context.kubernetes
    const services = `/api/v1/namespaces/${namespace}/services`
    await kubectl('-n', namespace, 'label', '--overwrite', 'service', 'orders-api', 'app.kubernetes.io/managed-by=hand')
    const label = await becomes(context, `${services}/orders-api`, 'the label is as in Git', (found) => {
      return found?.metadata.labels?.['app.kubernetes.io/managed-by'] === 'argocd'
    })
    const before = await context.kubernetes.read(`${services}/orders-worker`)
    await kubectl('-n', namespace, 'delete', 'service', 'orders-worker')
    const service = await becomes(context, `${services}/orders-worker`, 'the Service is back', (found) => {
      return found !== undefined && found.metadata.uid !== before?.metadata.uid
    })
    await synced(context, 'synced after the drift', 3, ['orders'])
    return `label ${label}, Service ${service}`
  },
}

export const prune: Step = {
  name: 'Argo CD prunes what a commit removes',
  run: async (context) => {
    const overlay = join(context.fork.clone, 'gitops/apps/orders/overlays/local')
    const file = join(overlay, 'kustomization.yaml')
    const original = readFileSync(file, 'utf8')
    const extra = join(overlay, 'extra.yaml')
    const path = `/api/v1/namespaces/${namespace}/configmaps/extra`
    await commit(context, 'Add a ConfigMap', () => {
      writeFileSync(
        extra,
        stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'extra' }, data: { a: 'b' } }),
      )
      writeFileSync(file, original.replace('resources:\n', 'resources:\n  - extra.yaml\n'))
    })
    await becomes(context, path, 'the ConfigMap is there', (found) => found !== undefined)
    await commit(context, 'Remove the ConfigMap', () => writeFileSync(file, original))
    const took = await becomes(context, path, 'the ConfigMap is gone', (found) => found === undefined)
    if (!existsSync(extra)) throw new Error('The manifest should remain in the folder: only the list must count.')
    return `pruned after ${took}`
  },
}
