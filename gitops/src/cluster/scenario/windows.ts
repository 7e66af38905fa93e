import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../until.ts'
import { application, commit, refresh, synced } from './argocd.ts'
import { restoring } from './restoring.ts'
import type { Context, Step } from './step.ts'

const overlay = 'gitops/argocd/overlays/local/kustomization.yaml'
const settings = 'gitops/apps/orders/base/settings.yaml'

/** Gives project `orders` a window in which it may sync by itself. */
function setWindow(context: Context, original: string, schedule: string): void {
  const patch = `patches:
  - target: { kind: AppProject, name: orders }
    patch: |-
      - op: add
        path: /spec/syncWindows
        value: [{ kind: allow, schedule: '${schedule}', duration: 1h, applications: [orders], manualSync: true }]
`
  writeFileSync(join(context.fork.clone, overlay), original + patch)
}

const windowOf = async ({ kubernetes }: Context) =>
  (await kubernetes.read('/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/orders'))?.spec?.syncWindows?.[0]
    ?.schedule

/** A schedule whose hour is long past, and far enough away to stay outside it during the step. */
const outside = () => `0 ${(new Date().getUTCHours() + 12) % 24} * * *`

export const syncWindow: Step = {
  name: 'outside its window nothing syncs by itself, by hand it does, and inside it syncs',
  run: async (context) => {
    const original = readFileSync(join(context.fork.clone, overlay), 'utf8')
    return restoring(
      () => checkWindow(context, original),
      async () => {
        await commit(context, 'Have no window', () => writeFileSync(join(context.fork.clone, overlay), original))
        await synced(context, 'everything as before', 5)
      },
    )
  },
}

async function checkWindow(context: Context, original: string): Promise<string> {
  const { fork, kubernetes } = context
  const closed = outside()
  await commit(context, 'Close the window', () => setWindow(context, original, closed))
  await until('the window is closed', 3, async () => ((await windowOf(context)) === closed ? [] : ['not yet']))

  const before = (await application(context, 'orders')).status?.operationState?.finishedAt
  const file = join(fork.clone, settings)
  const setWait = (ms: number) => () => {
    const changed = readFileSync(file, 'utf8').replace(/DATABASE_WAIT_MS: '\d+'/, `DATABASE_WAIT_MS: '${ms}'`)
    writeFileSync(file, changed)
  }
  const tip = await commit(context, 'Change a setting', setWait(19000))
  await until('the change is compared', 3, async () => {
    await refresh(context, 'orders')
    const { status } = await application(context, 'orders')
    return status?.sync?.revision === tip && status?.sync?.status === 'OutOfSync' ? [] : [`${status?.sync?.status}`]
  })
  const blocked = (await application(context, 'orders')).status?.operationState?.finishedAt
  if (blocked !== before) throw new Error('The change was synced although the window is closed.')

  const operation = { operation: { initiatedBy: { username: 'operator' }, sync: { revision: tip } } }
  await kubernetes.kubectl(
    '-n',
    'argocd',
    'patch',
    'application',
    'orders',
    '--type=merge',
    '--patch',
    JSON.stringify(operation),
  )
  await synced(context, 'synced by hand', 5, ['orders'])

  await commit(context, 'Open the window', () => setWindow(context, original, '* * * * *'))
  await until('the window is open', 3, async () => ((await windowOf(context)) === '* * * * *' ? [] : ['not yet']))
  await commit(context, 'Change it again', setWait(20000))
  await synced(context, 'synced by itself', 5, ['orders'])
  return 'blocked outside, synced by hand, synced inside'
}
