import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../until.ts'
import { commit, synced } from './argocd.ts'
import { restoring } from './restoring.ts'
import type { Context } from './step.ts'

export const namespace = 'orders-local'

export const replicas = async ({ kubernetes }: Context, name: string): Promise<number> =>
  (await kubernetes.read(`/apis/apps/v1/namespaces/${namespace}/deployments/${name}`))?.status?.readyReplicas ?? 0

/** Waits until a Deployment has exactly so many ready pods. */
export const ready = (context: Context, name: string, wanted: number, minutes: number): Promise<void> =>
  until(`${name} has ${wanted} ready pods`, minutes, async () => {
    const found = await replicas(context, name)
    return found === wanted ? [] : [`${found} are ready`]
  })

/** Runs `act` while the service has the scale of staging, changed by the patches of a kustomization. */
export async function atScale(context: Context, patches: string, act: () => Promise<string>): Promise<string> {
  const file = join(context.fork.clone, 'gitops/apps/orders/overlays/local/kustomization.yaml')
  const original = readFileSync(file, 'utf8')
  const write = (text: string) => () => writeFileSync(file, text)
  const scaled = async () => {
    await commit(
      context,
      'Scale as staging does',
      write(`${original.replace('  - ../../components/dev\n', '')}patches:\n${patches}`),
    )
    await synced(context, 'the service is at scale', 10, ['orders'])
    return act()
  }
  return restoring(scaled, async () => {
    await commit(context, 'Scale as a laptop does', write(original))
    await synced(context, 'the service is at its own scale', 10, ['orders'])
  })
}
