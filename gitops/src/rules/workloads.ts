import { type Document, nameOf, ofKind, quantity, selects } from './documents.ts'
import { containersOf, podsOf, rolloutOf, scalerOf } from './pods.ts'
import type { Rule } from './rule.ts'

type Found = [string, string][]

const resource = (list: Record<string, string | number> | undefined, name: string) => quantity(list?.[name])
const serving = (set: Document[]) => podsOf(set).filter(({ ends, operated }) => !ends && !operated)
const own = (set: Document[]) => podsOf(set).filter(({ operated }) => !operated)

export const workloadRules: Record<string, Rule> = {
  'replicas-have-one-owner': (set) =>
    ofKind(set, 'Deployment', 'Rollout', 'StatefulSet').flatMap((workload): Found => {
      const replicas = workload.spec?.replicas
      const rollout = workload.kind === 'Deployment' && rolloutOf(set, workload.metadata.name)
      if (rollout) {
        return replicas === 0 ? [] : [[nameOf(workload), `runs beside its ${nameOf(rollout)}: set replicas to 0`]]
      }
      const scaled = scalerOf(set, workload) !== undefined
      if (scaled && replicas !== undefined)
        return [[nameOf(workload), 'sets replicas, which its autoscaler owns: remove it']]
      return scaled || replicas !== undefined ? [] : [[nameOf(workload), 'has neither replicas nor an autoscaler']]
    }),
  'autoscaler-has-target': (set) =>
    ofKind(set, 'HorizontalPodAutoscaler', 'ScaledObject').flatMap((scaler): Found => {
      const { scaleTargetRef: target, minReplicas, minReplicaCount, maxReplicas, maxReplicaCount } = scaler.spec ?? {}
      const kind = target?.kind ?? 'Deployment'
      const known = set.some((document) => document.kind === kind && document.metadata.name === target?.name)
      if (!known) return [[nameOf(scaler), `scales ${kind}/${target?.name}, which is not in this set`]]
      // What they take where nothing is said.
      const least = minReplicas ?? minReplicaCount ?? (scaler.kind === 'ScaledObject' ? 0 : 1)
      const most = maxReplicas ?? maxReplicaCount ?? 100
      return least > most || least < 1
        ? [[nameOf(scaler), `scales from ${least} to ${most}: write 1 or more, then as many or more`]]
        : []
    }),
  // Metrics of all namespaces are in one Prometheus: the backlog of another would scale this one.
  'scaler-asks-of-its-namespace': (set) =>
    ofKind(set, 'ScaledObject').flatMap((scaler) =>
      (scaler.spec?.triggers ?? [])
        .filter(({ type, metadata: { query } }) => type === 'prometheus' && !query?.includes(namespaceLabel(scaler)))
        .map((): Found[number] => [nameOf(scaler), `scales by all namespaces: ask for ${namespaceLabel(scaler)}`]),
    ),
  'budget-lets-nodes-drain': (set) =>
    ofKind(set, 'PodDisruptionBudget').flatMap((budget): Found => {
      const { selector = {}, minAvailable, maxUnavailable } = budget.spec ?? {}
      const pods = podsOf(set).filter(({ labels, ends }) => !ends && selects(selector, labels))
      if (pods.length === 0) return [[nameOf(budget), 'selects no pod of this set']]
      const least = Math.min(...pods.map((pod) => pod.least))
      const kept =
        typeof minAvailable === 'string' ? Math.ceil((Number.parseInt(minAvailable, 10) / 100) * least) : minAvailable
      const blocks = kept !== undefined ? kept >= least : Number.parseInt(String(maxUnavailable ?? 0), 10) < 1
      return blocks ? [[nameOf(budget), `keeps all ${least} pods, so that no node can drain: allow one to go`]] : []
    }),
  // What works from a queue may be away for as long as a pod takes to start; whoever asks for a page may not wait.
  'enough-pods-to-lose-one': (set, _facts, path) => {
    const needed = /\/prod-[^/]+$/.test(path) ? 3 : /\/staging-[^/]+$/.test(path) ? 2 : 1
    return serving(set)
      .filter(({ spec }) => spec.containers.some(({ ports = [] }) => ports.some(({ name }) => name === 'http')))
      .filter(({ owner, least }) => least < needed && owner.metadata.name.startsWith('orders-'))
      .map(({ owner, least }) => [nameOf(owner), `runs as few as ${least} pods here: let it be ${needed} or more`])
  },
  'three-probes': (set) =>
    serving(set).flatMap(({ owner, spec }) =>
      spec.containers.flatMap((container): Found => {
        const missing = (['startupProbe', 'livenessProbe', 'readinessProbe'] as const).filter(
          (probe) => !container[probe],
        )
        return missing.length > 0 ? [[`${nameOf(owner)} ${container.name}`, `has no ${missing.join(', no ')}`]] : []
      }),
    ),
  'probes-differ': (set) =>
    serving(set).flatMap(({ owner, spec }) =>
      spec.containers
        .filter(
          ({ livenessProbe: live, readinessProbe: ready }) =>
            live?.httpGet && live.httpGet.path === ready?.httpGet?.path,
        )
        .map(({ name }): Found[number] => [
          `${nameOf(owner)} ${name}`,
          'asks the same of liveness and readiness: a database that is away would restart every pod',
        ]),
    ),
  'probe-port-exists': (set) =>
    serving(set).flatMap(({ owner, spec }) =>
      spec.containers.flatMap(({ name, ports = [], startupProbe, livenessProbe, readinessProbe }) =>
        [startupProbe, livenessProbe, readinessProbe].flatMap((probe): Found => {
          const port = probe?.httpGet?.port
          const known = port === undefined || ports.some((p) => p.name === port || p.containerPort === port)
          return known ? [] : [[`${nameOf(owner)} ${name}`, `probes port ${port}, which the container does not have`]]
        }),
      ),
    ),
  'update-keeps-serving': (set) =>
    ofKind(set, 'Deployment', 'Rollout').flatMap((workload): Found => {
      const { canary, rollingUpdate } = workload.spec?.strategy ?? {}
      const away = canary?.maxUnavailable ?? rollingUpdate?.maxUnavailable
      return away === 0
        ? []
        : [[nameOf(workload), 'may stop pods before their successors serve: set maxUnavailable to 0']]
    }),
  'drain-fits-grace': (set) =>
    serving(set).flatMap(({ owner, spec }): Found => {
      const drain = settingOf(set, spec.containers[0]?.envFrom?.[0]?.configMapRef?.name, 'DRAIN_DELAY_MS')
      const stop = spec.containers[0]?.lifecycle?.preStop?.sleep?.seconds
      if (drain === undefined) return []
      if (stop === undefined)
        return [[nameOf(owner), 'has no preStop sleep: proxies still send it requests when it ends']]
      // The service ends by itself 25 s after SIGTERM at the latest.
      const needed = stop + Math.max(Number(drain) / 1000 + 8, 25)
      const grace = spec.terminationGracePeriodSeconds ?? 30
      return grace > needed
        ? []
        : [[nameOf(owner), `is killed after ${grace} s, and needs more than ${needed} s to end`]]
    }),
  'resources-are-bounded': (set) =>
    own(set).flatMap((pods) =>
      containersOf(pods).flatMap(({ name, resources }): Found => {
        const complete = ['requests', 'limits'].every((which) =>
          ['cpu', 'memory'].every((what) => resource(resources?.[which as 'requests'], what) > 0),
        )
        return complete ? [] : [[`${nameOf(pods.owner)} ${name}`, 'lacks a request or a limit of cpu or memory']]
      }),
    ),
  'heap-fits-memory': (set) =>
    own(set).flatMap((pods) =>
      containersOf(pods).flatMap(({ name, env = [], resources }): Found => {
        const options = env.find((variable) => variable.name === 'NODE_OPTIONS')?.value
        if (options === undefined) return []
        const heap = Number(/--max-old-space-size=(\d+)/.exec(options)?.[1] ?? Number.NaN) * 2 ** 20
        const fits = heap <= 0.75 * resource(resources?.limits, 'memory')
        return fits
          ? []
          : [[`${nameOf(pods.owner)} ${name}`, 'has no heap limit, or one above three quarters of its memory']]
      }),
    ),
  'spread-selects-itself': (set) =>
    serving(set).flatMap(({ owner, labels, spec }) => {
      const constraints = spec.topologySpreadConstraints ?? []
      if (constraints.length === 0) return [[nameOf(owner), 'may run on one node alone: add topologySpreadConstraints']]
      return constraints
        .filter(({ labelSelector = {} }) => !selects(labelSelector, labels))
        .map((): Found[number] => [nameOf(owner), 'spreads other pods than its own: correct the labelSelector'])
    }),
  'workload-selects-itself': (set) =>
    ofKind(set, 'Deployment', 'Rollout', 'StatefulSet').flatMap((workload): Found => {
      const { selector, template } = workload.spec ?? {}
      if (!template) return []
      const chosen = selector && selects(selector, template.metadata?.labels ?? {})
      return chosen ? [] : [[nameOf(workload), 'does not select the pods of its own template']]
    }),
  'canary-is-judged': (set) =>
    ofKind(set, 'Rollout').flatMap((rollout): Found => {
      const { analysis, steps, canaryService, stableService } = rollout.spec?.strategy?.canary ?? {}
      const judges = (analysis?.templates ?? []).map(({ templateName }) => templateName)
      const made = (kind: string, name = '') => ofKind(set, kind).some(({ metadata }) => metadata.name === name)
      if (!steps?.length || judges.length === 0 || !judges.every((name) => made('AnalysisTemplate', name))) {
        return [[nameOf(rollout), 'has no steps, or no AnalysisTemplate of this set that could end it']]
      }
      const services = made('Service', canaryService) && made('Service', stableService)
      return services ? [] : [[nameOf(rollout), 'needs a stable and a canary Service of this set']]
    }),
}

const namespaceLabel = ({ metadata }: Document) => `namespace="${metadata.namespace}"`

function settingOf(set: Document[], configMap: string | undefined, key: string): string | undefined {
  return ofKind(set, 'ConfigMap').find(({ metadata }) => metadata.name === configMap)?.data?.[key]
}
