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
