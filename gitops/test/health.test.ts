import t from 'tap'
import { healthOf } from './health/lua.ts'

const application = (labels: Record<string, string> | undefined, status?: object) =>
  healthOf('argoproj.io_Application', { kind: 'Application', metadata: { name: 'one', labels }, status })
const required = { 'required-by': 'orders' }
const synced = { sync: { status: 'Synced' }, health: { status: 'Healthy' } }

t.test('a wave does not wait for an Application that nothing requires', async (t) => {
  for (const status of [undefined, { sync: { status: 'Unknown' } }, { health: { status: 'Degraded' } }]) {
    t.match(await application({ 'app.kubernetes.io/component': 'chart' }, status), { status: 'Healthy' })
    t.match(await application(undefined, status), { status: 'Healthy' })
  }
})

t.test('a wave waits for a required Application until it is Synced and Healthy', async (t) => {
  t.match(await application(required), { status: 'Progressing' })
  t.match(await application(required, { ...synced, sync: { status: 'OutOfSync' } }), { status: 'Progressing' })
  t.match(await application(required, { ...synced, health: { status: 'Progressing' } }), { status: 'Progressing' })
  t.match(await application(required, synced), { status: 'Healthy' })
})

t.test('a required Application that cannot be compared or synced fails its wave', async (t) => {
  const conditions = [{ type: 'ComparisonError', message: 'chart not found' }]
  const unknown = { sync: { status: 'Unknown' }, health: { status: 'Healthy' }, conditions }
  t.strictSame(await application(required, unknown), { status: 'Degraded', message: 'chart not found' })
  t.match(await application(required, { ...synced, conditions: [{ type: 'OrphanedResourceWarning' }] }), {
    status: 'Healthy',
  })
})

const gateway = (status?: object) =>
  healthOf('gateway.networking.k8s.io_Gateway', {
    kind: 'Gateway',
    metadata: { name: 'orders', generation: 2 },
    status,
  })
const programmed = { type: 'Programmed', status: 'True', observedGeneration: 2 }

t.test('a Gateway is Progressing until it and each listener are programmed', async (t) => {
  const waiting = { type: 'Programmed', status: 'False', observedGeneration: 2, message: 'no certificate' }
  const unresolved = { type: 'ResolvedRefs', status: 'False', reason: 'InvalidCertificateRef' }
  t.match(await gateway(), { status: 'Progressing' })
  t.strictSame(
    await gateway({
      conditions: [programmed],
      listeners: [{ name: 'https', conditions: [unresolved, waiting] }],
    }),
    { status: 'Progressing', message: 'https: no certificate' },
  )
  t.match(await gateway({ conditions: [{ ...programmed, observedGeneration: 1 }] }), { status: 'Progressing' })
})

t.test('a Gateway is Healthy when it and each listener are programmed', async (t) => {
  const listeners = [{ name: 'https', conditions: [programmed] }]
  t.match(await gateway({ conditions: [programmed], listeners }), { status: 'Healthy' })
})

const secondsAgo = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString().replace(/\.\d+/, '')

t.test('an autoscaler without metrics is waited for, for a time', async (t) => {
  const kind = 'autoscaling_HorizontalPodAutoscaler'
  const health = (created: number, changed: number, conditions: object[]) =>
    healthOf(kind, {
      metadata: { name: 'one', creationTimestamp: secondsAgo(created) },
      status: {
        conditions: conditions.map((it) => ({ lastTransitionTime: secondsAgo(changed), message: 'm', ...it })),
      },
    })
  const able = { type: 'AbleToScale', status: 'True', reason: 'SucceededGetScale' }
  const metrics = { type: 'ScalingActive', status: 'False', reason: 'FailedGetResourceMetric' }
  t.match(await healthOf(kind, { metadata: { name: 'one' } }), { status: 'Progressing' })
  t.match(await health(10, 10, [able, metrics]), { status: 'Progressing' }, 'it is new')
  t.match(await health(86_400, 30, [able, metrics]), { status: 'Progressing' }, 'its pods are new')
  t.match(await health(86_400, 120, [able, metrics]), { status: 'Degraded' })
  t.match(await health(86_400, 120, [able, { ...metrics, status: 'True', reason: 'ValidMetricFound' }]), {
    status: 'Healthy',
  })
  t.match(await health(10, 10, [{ ...able, status: 'False', reason: 'FailedGetScale' }]), { status: 'Degraded' })
  t.match(await health(10, 10, [able, { ...metrics, reason: 'InvalidSelector' }]), { status: 'Degraded' })
})

t.test('a sync fails after a time limit if a resource does not become ready', async (t) => {
  const limits = {
    'cert-manager.io_Certificate': 90,
    'external-secrets.io_ExternalSecret': 90,
    'postgresql.cnpg.io_Cluster': 600,
  }
  for (const [kind, seconds] of Object.entries(limits)) {
    const health = (created: number, ready?: object) =>
      healthOf(kind, {
        metadata: { name: 'one', creationTimestamp: secondsAgo(created) },
        status: ready && {
          conditions: [
            { type: 'Issuing', status: 'True' },
            { type: 'Ready', message: 'm', ...ready },
          ],
        },
      })
    const notReady = (changed: number) => ({ status: 'False', lastTransitionTime: secondsAgo(changed) })
    t.match(await health(0), { status: 'Progressing' }, `${kind} is new`)
    t.match(await health(seconds + 60), { status: 'Degraded' }, `the operator of ${kind} does not answer`)
    t.match(await health(86_400, notReady(0)), { status: 'Progressing', message: 'm' })
    t.match(await health(86_400, notReady(seconds + 60)), { status: 'Degraded', message: 'm' })
    t.match(await health(86_400, { status: 'True' }), { status: 'Healthy' })
  }
})

t.test('a worker that falls back without Prometheus is healthy', async (t) => {
  const health = (ready: object) =>
    healthOf('keda.sh_ScaledObject', {
      metadata: { name: 'one' },
      status: {
        conditions: [
          { type: 'Active', status: 'False' },
          { type: 'Ready', message: 'm', ...ready },
        ],
      },
    })
  t.match(await healthOf('keda.sh_ScaledObject', { metadata: { name: 'one' } }), { status: 'Progressing' })
  t.match(await health({ status: 'True', reason: 'ScaledObjectReady' }), { status: 'Healthy' })
  t.match(await health({ status: 'False', reason: 'TriggerError' }), { status: 'Healthy' })
  t.match(await health({ status: 'Unknown', reason: 'PartialTriggerError' }), { status: 'Healthy' })
  t.match(await health({ status: 'False', reason: 'ScaledObjectCheckFailed' }), { status: 'Degraded' })
})

t.test('a sync does not last as long as a canary', async (t) => {
  const health = (status: object, annotations?: object) =>
    healthOf('argoproj.io_Rollout', {
      metadata: { name: 'one', generation: 3, annotations },
      status: { observedGeneration: '3', message: 'm', ...status },
    })
  const canary = { stableRS: 'old', currentPodHash: 'new' }
  t.match(await health({ ...canary, phase: 'Progressing' }), { status: 'Healthy' })
  t.match(await health({ ...canary, phase: 'Paused' }), { status: 'Healthy' })
  t.match(await health({ ...canary, phase: 'Degraded' }), { status: 'Degraded' })
  t.match(await health({ stableRS: 'new', currentPodHash: 'new', phase: 'Healthy' }), { status: 'Healthy' })
  t.match(await health({ currentPodHash: 'new', phase: 'Progressing' }), { status: 'Progressing' }, 'the first release')
  t.match(await health({ ...canary, phase: 'Paused', observedGeneration: '2' }), { status: 'Progressing' })
  const template = { 'rollout.argoproj.io/workload-generation': '7' }
  t.match(await health({ ...canary, phase: 'Healthy', workloadObservedGeneration: '6' }, template), {
    status: 'Progressing',
  })
  t.match(await health({ ...canary, phase: 'Paused', workloadObservedGeneration: '7' }, template), {
    status: 'Healthy',
  })
})

t.test('a definition is Degraded only where the server does not accept it', async (t) => {
  const health = (conditions?: object[]) =>
    healthOf('apiextensions.k8s.io_CustomResourceDefinition', {
      kind: 'CustomResourceDefinition',
      metadata: { name: 'one' },
      status: conditions && { conditions },
    })
  t.match(await health(), { status: 'Healthy' }, 'it is new')
  t.match(await health([{ type: 'Established', status: 'False', reason: 'Installing' }]), { status: 'Healthy' })
  const refused = { type: 'NamesAccepted', status: 'False', message: 'the name is in use' }
  t.match(await health([refused]), { status: 'Degraded', message: 'the name is in use' })
  t.match(await health([{ type: 'NonStructuralSchema', status: 'True', message: 'm' }]), { status: 'Degraded' })
})
