import type { Resource } from '../kubernetes.ts'
import { until } from '../until.ts'
import type { Context, Step } from './step.ts'

const namespace = 'orders-local'

/** Who connects: a pod with these labels in this namespace. */
type Source = { name: string; namespace: string; labels: Record<string, string>; may: Target[] }
type Target = keyof typeof targets

const app = (name: string) => ({ 'app.kubernetes.io/name': name })
const podAddress =
  (labels: string) =>
  async ({ kubernetes }: Context) => {
    const pods = await kubernetes.list(
      `/api/v1/namespaces/${namespace}/pods?labelSelector=${encodeURIComponent(labels)}`,
    )
    const address = pods.find(({ status }) => status?.phase === 'Running')?.status?.podIP
    if (address === undefined) throw new Error(`No pod with ${labels} runs.`)
    return String(address)
  }

/** What there is to connect to: an address, and a port of each of its services. */
const targets = {
  api: { address: podAddress('app.kubernetes.io/name=orders-api'), port: 8000 },
  'api metrics': { address: podAddress('app.kubernetes.io/name=orders-api'), port: 9090 },
  'worker metrics': { address: podAddress('app.kubernetes.io/name=orders-worker'), port: 9090 },
  database: { address: podAddress('cnpg.io/cluster=orders-database'), port: 5432 },
  redis: { address: podAddress('app.kubernetes.io/name=orders-redis'), port: 6379 },
  'database status': { address: podAddress('cnpg.io/cluster=orders-database'), port: 8000 },
  gateway: { address: async () => '10.96.0.80', port: 443 },
  kubernetes: { address: async () => '172.30.0.1', port: 6443 },
  dns: { address: async () => '10.96.0.10', port: 53 },
} as const

const sources: Source[] = [
  { name: 'orders-api', namespace, labels: app('orders-api'), may: ['database', 'redis', 'dns'] },
  { name: 'orders-worker', namespace, labels: app('orders-worker'), may: ['database', 'dns'] },
  { name: 'orders-migrate', namespace, labels: app('orders-migrate'), may: ['database', 'dns'] },
  { name: 'orders-smoke', namespace, labels: app('orders-smoke'), may: ['gateway', 'dns'] },
  { name: 'another pod of the namespace', namespace, labels: app('other'), may: ['dns'] },
  {
    name: 'Prometheus',
    namespace: 'monitoring',
    labels: app('prometheus'),
    may: ['api metrics', 'worker metrics', 'gateway', 'kubernetes', 'dns'],
  },
  {
    name: 'another pod of monitoring',
    namespace: 'monitoring',
    labels: app('other'),
    may: ['gateway', 'kubernetes', 'dns'],
  },
  {
    name: 'the operator of the database',
    namespace: 'cnpg-system',
    labels: app('cloudnative-pg'),
    may: ['database', 'database status', 'gateway', 'kubernetes', 'dns'],
  },
]

/**
 * Tries every target, and prints which could be connected to. The rules of a pod follow its start, so it tries again until
 * the answers are the expected ones, 60 times at most.
 */
const program = `const net = require('node:net')
const connects = (host, port) => new Promise((resolve) => {
  const socket = net.connect({ host, port, timeout: 4000 })
  const end = (answer) => { socket.destroy(); resolve(answer) }
  socket.on('connect', () => end(true)).on('error', () => end(false)).on('timeout', () => end(false))
})
const attempt = async (left) => {
  const list = JSON.parse(process.argv[1])
  const all = await Promise.all(list.map(async ([name, host, port, may]) => [name, await connects(host, port), may]))
  const wrong = all.some(([, answer, may]) => answer !== may)
  if (wrong && left > 0) setTimeout(attempt, 500, left - 1)
  else console.log(JSON.stringify(all))
}
attempt(60)`

async function tryFrom(
  context: Context,
  source: Source,
  index: number,
  image: string,
  list: [Target, string, number][],
) {
  const { kubernetes } = context
  const name = `flow-${index}`
  const expected = list.map(([target, host, port]) => [target, host, port, source.may.includes(target)])
  const at = `/api/v1/namespaces/${source.namespace}/pods/${name}`
  const resources = { requests: { cpu: '10m', memory: '48Mi' }, limits: { cpu: '200m', memory: '96Mi' } }
  await kubernetes.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: source.namespace, labels: source.labels },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, runAsUser: 10001, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'flow',
          image,
          command: ['node', '-e', program, JSON.stringify(expected)],
          resources,
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    },
  })
  try {
    await until(`connections from ${source.name}`, 2, async () => {
      const phase = (await kubernetes.read(at))?.status?.phase
      return phase === 'Succeeded' ? [] : [`${name} is ${phase}`]
    })
    const answers = JSON.parse(await kubernetes.kubectl('-n', source.namespace, 'logs', name)) as [Target, boolean][]
    return answers
      .filter(([target, connected]) => connected !== source.may.includes(target))
      .map(([target, connected]) => `${source.name} ${connected ? 'reaches' : 'does not reach'} ${target}`)
  } finally {
    await kubernetes.kubectl('-n', source.namespace, 'delete', 'pod', name, '--wait=false')
  }
}

const policies = ({ kubernetes }: Context) =>
  kubernetes.list(`/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`)

/** The policies that select a pod with none of the labels above would not be tested. */
const untested = (found: Resource[]) =>
  found.filter(({ spec }) => {
    const labels = JSON.stringify(spec?.podSelector ?? {})
    const names = ['orders-api', 'orders-worker', 'orders-migrate', 'orders-smoke', 'orders-redis', 'cnpg.io/cluster']
    return labels !== '{}' && !names.some((name) => labels.includes(name))
  })

export const networkPolicies: Step = {
  name: 'every flow of the network policies, allowed and not',
  onlyLocal: true,
  run: async (context) => {
    const missed = untested(await policies(context))
    if (missed.length > 0) throw new Error(`No source tests ${missed.map(({ metadata }) => metadata.name).join(', ')}.`)
    const list: [Target, string, number][] = []
    for (const [name, { address, port }] of Object.entries(targets)) {
      list.push([name as Target, await address(context), port])
    }
    const image = await context.images.push(context.fork.tip())
    const wrong: string[] = []
    for (const [index, source] of sources.entries()) wrong.push(...(await tryFrom(context, source, index, image, list)))
    if (wrong.length > 0) throw new Error(wrong.join('; '))
    return `${sources.length * list.length} connections tried, ${sources.flatMap(({ may }) => may).length} allowed`
  },
}
