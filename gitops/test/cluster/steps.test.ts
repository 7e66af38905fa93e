import { once } from 'node:events'
import { createServer } from 'node:http'
import t from 'tap'
import { tracesIn } from '../../src/cluster/machine.ts'
import { assertNoneFailed, probe } from '../../src/cluster/prober.ts'
import { synced } from '../../src/cluster/scenario/argocd.ts'
import { guideCommand } from '../../src/cluster/scenario/guide.ts'
import { restoring } from '../../src/cluster/scenario/restoring.ts'
import { type Context, runSteps, table } from '../../src/cluster/scenario/step.ts'
import { type Application, unfinished } from '../../src/cluster/scenario/unfinished.ts'
import { until } from '../../src/cluster/until.ts'

const application = (sync: string, health: string, phase: string, revision = 'r'): Application => ({
  metadata: { name: 'orders' },
  status: { sync: { status: sync, revision }, health: { status: health }, operationState: { phase } },
})

t.test('only what is Synced and Healthy at the commit is finished', async (t) => {
  t.same(unfinished([application('Synced', 'Healthy', 'Succeeded')], 'r'), [])
  const charts = { metadata: { name: 'chart' }, status: { sync: { status: 'Synced', revisions: ['1.2.3', 'r'] } } }
  t.same(unfinished([{ ...charts, status: { ...charts.status, health: { status: 'Healthy' } } }], 'r'), [])
  const others = [
    application('OutOfSync', 'Healthy', 'Succeeded'),
    application('Synced', 'Degraded', 'Succeeded'),
    application('Synced', 'Healthy', 'Running'),
    application('Synced', 'Healthy', 'Succeeded', 'older'),
    { metadata: { name: 'orders' } },
  ]
  for (const other of others) t.match(unfinished([other], 'r'), [/^orders is /], JSON.stringify(other))
  t.match(unfinished([], 'r'), [/no Application/], 'an empty cluster is not a finished one')
})

t.test('waiting for named Applications names each that is missing or unfinished', async (t) => {
  const found: Record<string, Application> = { root: application('Synced', 'Degraded', 'Succeeded') }
  const read = async (path: string) => found[path.split('/').at(-1) ?? '']
  const context = { kubernetes: { read }, fork: { tip: () => 'r' } } as unknown as Context
  const named = ['root', 'orders', 'other']
  await t.rejects(
    synced(context, 'all', 0, named),
    /is Synced, Degraded.*\n {2}orders is missing\n {2}other is missing$/,
  )
  for (const name of named) found[name] = application('Synced', 'Healthy', 'Succeeded')
  await synced(context, 'all', 0, named)
})

t.test('waiting ends when nothing is missing, or names what is', async (t) => {
  const answers = [['a'], ['a'], []]
  await until('all', 1, async () => answers.shift() ?? [], 1)
  await t.rejects(
    until('all', 0, async () => ['one is missing'], 1),
    /^all took longer than 0 min:\n {2}one is missing$/,
  )
})

t.test('the prober reports every failure', async (t) => {
  let status = 200
  const server = createServer((_, answer) => answer.writeHead(status).end('busy')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(`http://127.0.0.1:${(server.address() as { port: number }).port}`)
  const received = async (count: number) => {
    for (let seen = 0; seen < count; seen++) await once(server, 'request')
  }
  const good = probe(url, { perSecond: 200 })
  await received(3)
  t.not(assertNoneFailed(await good.stop()), 0)
  status = 503
  const bad = probe(url, { perSecond: 200 })
  await received(2)
  const probed = await bad.stop()
  t.match(probed.failures, [/status 503 busy$/])
  t.throws(
    () => assertNoneFailed(probed),
    /^(\d+) of \1 requests failed, from .+ status 503 busy to .+ status 503 busy\.$/,
  )
  server.close()
  const alone = probe(url, { perSecond: 200 })
  await until('a failure', 1, async () => (alone.failures.length > 0 ? [] : ['none yet']), 1)
  t.match((await alone.stop()).failures, [/ECONNREFUSED/])
})

t.test('a failed step that others need ends the run, and any other does not', async (t) => {
  const ran: string[] = []
  const step = (name: string, works: boolean) => ({
    name,
    run: async () => {
      ran.push(name)
      if (!works) throw new Error('broken')
      return 'fine'
    },
  })
  const kubectl = async (...args: string[]) => `the ${args.at(2) === 'get' ? 'pods' : 'events'} of the service`
  const context = { kubernetes: { kubectl } } as unknown as Context
  const rows = await runSteps([step('a', true), step('b', false), step('c', true)], context, new Set(['a']))
  t.same(
    rows.map(({ result }) => result),
    ['passed', 'FAILED', 'passed'],
  )
  const stopped = await runSteps([step('d', false), step('e', true)], context, new Set(['d']))
  t.same(
    stopped.map(({ result }) => result),
    ['FAILED', 'not run'],
  )
  t.same(ran, ['a', 'b', 'c', 'd'])
  t.match(rows[1]?.value, /^broken\nthe pods of the service\nthe events of the service$/)
  t.match(table(rows), /\| b +\| 0 +\| FAILED +\| broken \|/)
})

t.test('finds what a cluster left on the machine, and nothing else', async (t) => {
  const left = [
    '4: cni0    inet 10.244.1.1/24 brd 10.244.1.255 scope global cni0',
    '1: lo    inet 172.30.0.1/32 scope global lo',
    '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    'overlay /tmp/orders-cluster-a1b2c3/node1/kubelet overlay rw 0 0',
  ]
  for (const line of left) t.same(tracesIn([`1: lo    inet 127.0.0.1/8 scope host lo\n${line}`]), [line])
  t.same(tracesIn(['2: eth0    inet 172.17.0.2/16 scope global eth0\n-P INPUT ACCEPT\n/dev/vda / ext4 rw 0 0']), [])
})

t.test('what a step changed is restored in each case, and no error hides another', async (t) => {
  let restored = 0
  const restore = async () => void restored++
  const fail = (message: string) => async () => {
    throw new Error(message)
  }
  t.equal(await restoring(async () => 'done', restore), 'done')
  await t.rejects(restoring(fail('The step.'), restore), { message: 'The step.' })
  t.equal(restored, 2)
  await t.rejects(restoring(fail('The step.'), fail('The commit.')), /^The step\. Restoring failed too: The commit\.$/)
  await t.rejects(
    restoring(async () => 'done', fail('The commit.')),
    { message: 'The commit.' },
  )
})

t.test('a step runs the one command of the guide that it names', (t) => {
  const text =
    'Run `npx nx run a --b c`, then\n`kubectl delete root`, and `kubectl delete child`; again `npx nx run a --b c`.'
  t.equal(guideCommand('npx nx run a', text), 'npx nx run a --b c')
  t.throws(() => guideCommand('kubectl delete', text), /has 2 commands that begin with "kubectl delete"/)
  t.throws(() => guideCommand('kubectl apply', text), /has 0 commands/)
  t.end()
})
