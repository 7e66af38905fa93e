import type { Resource } from '../kubernetes.ts'
import { assertNoneFailed, type Probed, probe } from '../prober.ts'
import type { Variant } from '../release-images.ts'
import { until } from '../until.ts'
import { application, refresh, synced } from './argocd.ts'
import { smoke } from './first-sync.ts'
import type { Context, Step } from './step.ts'

const namespace = 'orders-local'
const mostSeconds = 180
/**
 * On a busy machine, a pod gets little more than the tenth of a processor that it requests. That is too little for 20
 * requests a second, each on a new connection: the service answered them with 503 OVERLOADED, whatever the release was.
 */
const perSecond = 5

type BadRelease = { name: string; variant: Variant; seen: (context: Context) => Promise<boolean> }

const pods = ({ kubernetes }: Context, job?: string) =>
  kubernetes.list(
    `/api/v1/namespaces/${namespace}/pods${job === undefined ? '' : `?labelSelector=app.kubernetes.io/name%3D${job}`}`,
  )

const waitingFor = ({ status }: Resource): string[] =>
  [...(status?.containerStatuses ?? [])].map(
    (one: { state?: { waiting?: { reason?: string } } }) => one.state?.waiting?.reason ?? '',
  )

const failedPods = async (context: Context, job: string) =>
  (await pods(context, job)).some(({ status }) => status?.phase === 'Failed')

/** Each release that goes wrong, and how to tell that it has. */
const badReleases: BadRelease[] = [
  {
    name: 'an image that does not exist',
    variant: { kind: 'missing' },
    seen: async (context) =>
      (await pods(context)).some((pod) =>
        waitingFor(pod).some((reason) => /ErrImagePull|ImagePullBackOff/.test(reason)),
      ),
  },
  {
    name: 'a migration that hangs',
    variant: { kind: 'files', files: { 'packages/database/src/migrate-cli.ts': 'setInterval(() => {}, 1000)\n' } },
    seen: async (context) => (await pods(context, 'orders-migrate')).some(({ status }) => status?.phase === 'Running'),
  },
  {
    name: 'a migration that fails',
    variant: { kind: 'files', files: { 'packages/database/src/migrate-cli.ts': 'process.exitCode = 1\n' } },
    seen: (context) => failedPods(context, 'orders-migrate'),
  },
  {
    name: 'a smoke test that fails',
    variant: { kind: 'files', files: { 'apps/orders-api/src/smoke.ts': 'process.exitCode = 1\n' } },
    seen: (context) => failedPods(context, 'orders-smoke'),
  },
  {
    name: 'an API that ends at once',
    variant: { kind: 'files', files: { 'apps/orders-api/src/server.ts': 'process.exitCode = 1\n' } },
    seen: async (context) =>
      (await pods(context, 'orders-api')).some((pod) => waitingFor(pod).includes('CrashLoopBackOff')),
  },
]

const step = ({ name, variant, seen }: BadRelease): Step => ({
  name: `bad release, ${name}: no request fails, and a rollback is applied within ${mostSeconds} s`,
  run: async (context) => {
    const { fork, images } = context
    const prober = probe(new URL('/readyz', context.address), { perSecond, ca: await context.authority() })
    let probed: Probed
    let took: number
    try {
      const source = fork.emptyCommit(`Release with ${name}`)
      fork.release('bump', '--env', 'local', '--image', await images.push(source, variant), '--commit', source)
      await refresh(context, 'orders')
      await until('the release has gone wrong', 8, async () => ((await seen(context)) ? [] : ['not yet']))
      fork.release('rollback', '--env', 'local', '--reason', name)
      const started = performance.now()
      await refresh(context, 'orders')
      await synced(context, 'the rollback is applied', 15, ['orders'])
      took = Math.round((performance.now() - started) / 1000)
      await smoke(context)
    } finally {
      probed = await prober.stop()
    }
    const requests = assertNoneFailed(probed)
    if (took > mostSeconds * context.slowness) throw new Error(`The rollback took ${took} s.`)
    return `rollback ${took} s, 0 of ${requests} requests failed`
  },
})

export const releaseDuringSync: Step = {
  name: 'a release that is pushed during a sync runs its migration and its smoke test',
  run: async (context) => {
    const { fork, images } = context
    const operation = async () => (await application(context, 'orders')).status?.operationState
    const first = fork.emptyCommit('A release')
    fork.release('bump', '--env', 'local', '--image', await images.push(first), '--commit', first)
    await refresh(context, 'orders')
    await until('the first release is being synced', 3, async () => {
      const state = await operation()
      return state?.phase === 'Running' && state.syncResult?.revision === fork.tip() ? [] : [`${state?.phase}`]
    })
    const second = fork.emptyCommit('A release during the sync, whose smoke test fails')
    const fails: Variant = { kind: 'files', files: { 'apps/orders-api/src/smoke.ts': 'process.exitCode = 1\n' } }
    fork.release('bump', '--env', 'local', '--image', await images.push(second, fails), '--commit', second)
    await refresh(context, 'orders')
    try {
      await until('the smoke test of the second release has failed', 6, async () =>
        (await failedPods(context, 'orders-smoke')) ? [] : ['not yet'],
      )
    } finally {
      fork.release('rollback', '--env', 'local', '--reason', 'rehearsal')
      await refresh(context, 'orders')
    }
    await synced(context, 'the rollback is applied', 6, ['orders'])
    return 'its smoke test ran, and failed as it should'
  },
}

export const badReleaseSteps: Step[] = badReleases.map(step)

export const proberControl: Step = {
  name: 'control: the prober sees a service without pods',
  run: async (context) => {
    const { kubectl } = context.kubernetes
    const prober = probe(new URL('/readyz', context.address), { perSecond, ca: await context.authority() })
    let probed: Probed
    try {
      await kubectl('-n', namespace, 'delete', 'service', 'orders-api')
      await until('a request fails', 1, async () => (prober.failures.length > 0 ? [] : ['none yet']), 100)
      await synced(context, 'Argo CD has put the Service back', 5, ['orders'])
    } finally {
      probed = await prober.stop()
    }
    const { failures, requests } = probed
    if (failures.length === 0) throw new Error(`None of ${requests} requests failed while there was no Service.`)
    return `${failures.length} of ${requests} requests failed`
  },
}
