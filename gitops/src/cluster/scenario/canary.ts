import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { assertNoneFailed, type Probed, probe } from '../prober.ts'
import type { Variant } from '../release-images.ts'
import { until } from '../until.ts'
import { commit, refresh, synced } from './argocd.ts'
import { ask, signIn } from './client.ts'
import { smoke } from './first-sync.ts'
import { restoring } from './restoring.ts'
import type { Context, Step } from './step.ts'

const overlay = 'gitops/apps/orders/overlays/local/kustomization.yaml'
const strategy = 'gitops/apps/orders/components/canary/rollout.yaml'
const plugin = 'apps/orders-api/src/plugins/orders.ts'
const root = join(import.meta.dirname, '../../../..')

export const canaries: Step = {
  name: 'a good canary completes by weight, and its analysis aborts one with errors',
  run: (context) =>
    withCanaries(context, async () => {
      const weights = await completes(context)
      const aborted = await aborts(context)
      return `weights ${weights.join(', ')} and complete; ${aborted}`
    }),
}

/**
 * Runs `act` while releases of `local` are canaries, as in production, but with shorter pauses. Afterwards, the component of
 * Argo CD stays: what it ignores does no harm without a canary.
 */
async function withCanaries(context: Context, act: () => Promise<string>): Promise<string> {
  const { fork } = context
  const original = [overlay, strategy].map((file) => [join(fork.clone, file), read(fork.clone, file)] as const)
  const withCanary = async () => {
    await commit(context, 'Release by canary, with pauses of a minute', () => {
      fork.addComponent('apps/orders/overlays/local', '../../components/canary')
      fork.addComponent('argocd/overlays/local', '../../components/canary')
      const file = join(fork.clone, strategy)
      writeFileSync(file, read(fork.clone, strategy).replaceAll('duration: 5m', 'duration: 1m'))
    })
    await synced(context, 'the Rollout runs the service', 10, ['root', 'orders'])
    return await act()
  }
  return restoring(withCanary, async () => {
    await commit(context, 'Release at once', () => {
      for (const [file, text] of original) writeFileSync(file, text)
    })
    await synced(context, 'the Deployment runs the service', 10, ['orders'])
  })
}

const read = (folder: string, file: string) => readFileSync(join(folder, file), 'utf8')

const rollout = async ({ kubernetes }: Context) =>
  (await kubernetes.read('/apis/argoproj.io/v1alpha1/namespaces/orders-local/rollouts/orders-api'))?.status

/** The share of requests, in percent, that the canary gets. */
async function canaryWeight({ kubernetes }: Context): Promise<number> {
  const route = await kubernetes.read(
    '/apis/gateway.networking.k8s.io/v1/namespaces/orders-local/httproutes/orders-api',
  )
  const backends: { name: string; weight?: number }[] = route?.spec?.rules?.[0]?.backendRefs ?? []
  const found = backends.find(({ name }) => name === 'orders-api-canary')
  if (found === undefined) throw new Error('The route has no canary.')
  return found.weight ?? 1
}

/** Whether each of the two Services selects the pods of one release, so that weights and measurements are of it. */
async function areApart({ kubernetes }: Context): Promise<boolean> {
  const hashes = await Promise.all(
    ['orders-api', 'orders-api-canary'].map(async (name) => {
      const service = await kubernetes.read(`/api/v1/namespaces/orders-local/services/${name}`)
      return service?.spec?.selector?.['rollouts-pod-template-hash']
    }),
  )
  return hashes[0] !== undefined && hashes[1] !== undefined && hashes[0] !== hashes[1]
}

async function release({ fork, images }: Context, subject: string, variant?: Variant): Promise<string> {
  const source = fork.emptyCommit(subject)
  fork.release('bump', '--env', 'local', '--image', await images.push(source, variant), '--commit', source)
  return source
}

/** Runs `act` beside a client that lists its orders 20 times a second: ordinary requests, which the analysis counts. */
async function beside(context: Context, act: () => Promise<void>): Promise<Probed> {
  const { headers } = await signIn(context)
  const url = new URL('/api/v1/orders?limit=1', context.address)
  const prober = probe(url, { perSecond: 20, ca: await context.authority(), headers })
  let probed: Probed
  try {
    await act()
  } finally {
    probed = await prober.stop()
  }
  return probed
}

async function completes(context: Context): Promise<number[]> {
  const weights = new Set<number>()
  const probed = await beside(context, async () => {
    await release(context, 'A release by canary')
    await refresh(context, 'orders')
    const old = (await rollout(context))?.stableRS
    await until('the canary is complete', 12, async () => {
      const weight = await canaryWeight(context)
      if (weight > 0 && (await areApart(context))) weights.add(weight)
      const status = await rollout(context)
      const state = `${status?.phase} at step ${status?.currentStepIndex}: ${status?.message ?? ''}`
      return status?.phase === 'Healthy' && status.stableRS !== old ? [] : [state]
    })
  })
  assertNoneFailed(probed)
  for (const weight of [5, 25, 50]) if (!weights.has(weight)) throw new Error(`The canary alone never had ${weight} %.`)
  await synced(context, 'the release is complete', 5, ['orders'])
  return [...weights].filter((weight) => weight > 0)
}

/** A release that answers each list of orders with 500; probes and the other routes work. */
function failing(): Variant {
  const text = read(root, plugin)
  const anchor = '  const { database, meters } = app\n'
  if (!text.includes(anchor)) throw new Error(`${plugin} has changed: name another line in canary.ts.`)
  const defect = `app.addHook('onRequest', async ({ method, url }) => {
    if (method === 'GET' && url.startsWith('/api/v1/orders')) throw new Error('a defect')
  })\n`
  return { kind: 'files', files: { [plugin]: text.replace(anchor, `${anchor}  ${defect}`) } }
}

/** A deadline aborts a canary too: throws an Error unless it was the analysis of the newest one, by its errors. */
async function assertAbortedByErrors({ kubernetes }: Context): Promise<void> {
  const runs = await kubernetes.list('/apis/argoproj.io/v1alpha1/namespaces/orders-local/analysisruns')
  const [newest] = runs.sort((a, b) =>
    String(b.metadata.creationTimestamp).localeCompare(String(a.metadata.creationTimestamp)),
  )
  const results: { name: string; phase: string }[] = newest?.status?.metricResults ?? []
  const phases = results.map(({ name, phase }) => `${name} ${phase}`)
  if (!phases.includes('error-rate Failed')) throw new Error(`The analysis did not abort it: ${phases.join(', ')}.`)
}

async function aborts(context: Context): Promise<string> {
  const started = performance.now()
  const { failures, requests } = await beside(context, async () => {
    await release(context, 'A release with errors', failing())
    await refresh(context, 'orders')
    await until('the canary is aborted', 10, async () => {
      const status = await rollout(context)
      return status?.abort === true ? [] : [`${status?.phase} at step ${status?.currentStepIndex}`]
    })
    await until('the canary gets no request', 1, async () => {
      const weight = await canaryWeight(context)
      return weight === 0 ? [] : [`it gets ${weight} %`]
    })
  })
  const took = Math.round((performance.now() - started) / 1000)
  await assertAbortedByErrors(context)
  if (!failures.some((failure) => failure.includes(' status 500 '))) {
    throw new Error('No request reached the canary with errors.')
  }
  const { headers } = await signIn(context)
  for (let request = 0; request < 200; request++) {
    const { status } = await ask(context, '/api/v1/orders', { headers })
    if (status !== 200) throw new Error(`After the abort, a request was answered with ${status}.`)
  }
  context.fork.release('rollback', '--env', 'local', '--reason', 'errors')
  await refresh(context, 'orders')
  await synced(context, 'the rollback is applied', 10, ['orders'])
  await smoke(context)
  return `the other is aborted after ${took} s, with ${failures.length} of ${requests} requests failed`
}
