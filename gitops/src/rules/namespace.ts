import { minorOf, targetVersion } from '../tools/kubernetes-versions.ts'
import { type Document, nameOf, ofKind, quantity } from './documents.ts'
import { containersOf, type Pods, podsOf } from './pods.ts'
import type { Rule } from './rule.ts'

const podSecurityVersion = `v${minorOf(targetVersion)}`

type Found = [string, string][]

const clusterWide = new Set([
  'Namespace',
  'PriorityClass',
  'ClusterRole',
  'ClusterRoleBinding',
  'ClusterIssuer',
  'GatewayClass',
])
const ofCluster = ({ kind, apiVersion }: Document) =>
  clusterWide.has(kind) || apiVersion.startsWith('policies.kyverno.io/')

/** The pods that a quota counts: those with a deadline, those without one, or all. */
function countedPods(set: Document[], scopes: string[] = []): Pods[] {
  return podsOf(set).filter(({ spec }) => {
    const scope = spec.activeDeadlineSeconds === undefined ? 'NotTerminating' : 'Terminating'
    return scopes.length === 0 || scopes.includes(scope)
  })
}

function uncountedPods(set: Document[]): Pods[] {
  const quotas = ofKind(set, 'ResourceQuota').filter(({ spec }) => spec?.hard?.pods !== undefined)
  const counted = new Set(quotas.flatMap(({ spec }) => countedPods(set, spec?.scopes).map(({ owner }) => owner)))
  return podsOf(set).filter(({ owner, operated }) => !operated && !counted.has(owner))
}

/** The sum of one resource of pods at their most: the autoscaler's maximum, the surge of an update, every Job. */
function sum(set: Document[], counted: Pods[], which: 'requests' | 'limits', what: string): number {
  const [least] = ofKind(set, 'LimitRange').flatMap(({ spec }) => spec?.limits ?? []) as {
    default?: Amounts
    defaultRequest?: Amounts
  }[]
  const fallback = which === 'limits' ? least?.default : least?.defaultRequest
  return counted.reduce((total, pods) => {
    const one = pods.spec.containers.reduce(
      (pod, { resources }) => pod + quantity(resources?.[which]?.[what] ?? fallback?.[what] ?? 0),
      0,
    )
    return total + pods.most * one
  }, 0)
}
type Amounts = Record<string, string | number>

export const namespaceRules: Record<string, Rule> = {
  'namespace-is-restricted': (set) =>
    ofKind(set, 'Namespace')
      .filter(({ metadata: { labels = {} } }) =>
        ['enforce', 'audit', 'warn'].some((mode) => labels[`pod-security.kubernetes.io/${mode}`] !== 'restricted'),
      )
      .map((namespace) => [nameOf(namespace), 'lacks a pod-security label restricted: enforce, audit and warn']),
  'pod-security-of-targets-version': (set) =>
    ofKind(set, 'Namespace').flatMap((namespace) =>
      Object.entries(namespace.metadata.labels ?? {})
        .filter(([name, version]) => /^pod-security\..*-version$/.test(name) && version !== podSecurityVersion)
        .map(([name]): Found[number] => [nameOf(namespace), `has another ${name} than ${podSecurityVersion}`]),
    ),
  'everything-has-its-namespace': (set) => {
    const [namespace, ...others] = ofKind(set, 'Namespace').map(({ metadata }) => metadata.name)
    if (namespace === undefined || others.length > 0) return []
    return set
      .filter((document) => !ofCluster(document) && document.metadata.namespace !== namespace)
      .map((document) => [nameOf(document), `is not in the namespace of its set, ${namespace}`])
  },
  'namespace-is-bounded': (set) =>
    ofKind(set, 'Namespace')
      .filter(() => podsOf(set).some(({ owner, operated }) => !operated && owner.metadata.name.startsWith('orders')))
      .flatMap((namespace) =>
        [
          ...(ofKind(set, 'LimitRange').length === 0 ? ['no LimitRange'] : []),
          ...uncountedPods(set).map(({ owner }) => `no ResourceQuota that counts the pods of ${nameOf(owner)}`),
        ].map((lack): Found[number] => [nameOf(namespace), `has ${lack}: one workload could take the whole cluster`]),
      ),
  'quota-fits': (set) =>
    ofKind(set, 'ResourceQuota').flatMap((quota) => {
      const counted = countedPods(set, quota.spec?.scopes)
      return Object.entries(quota.spec?.hard ?? {}).flatMap(([name, hard]): Found => {
        const [, which, what] = /^(requests|limits)\.(cpu|memory)$/.exec(name) ?? []
        const pods = name === 'pods' ? counted.reduce((total, { most }) => total + most, 0) : undefined
        const needed = pods ?? (what ? sum(set, counted, which as 'requests', what) : 0)
        return needed <= quantity(hard) * (1 + 1e-9)
          ? []
          : [[nameOf(quota), `allows ${hard} of ${name}, and all pods at once need ${needed}`]]
      })
    }),
  'limit-range-fits': (set) => {
    const max =
      ofKind(set, 'LimitRange')
        .flatMap(({ spec }) => spec?.limits ?? [])
        .find(({ type }) => type === 'Container')?.max ?? {}
    return podsOf(set).flatMap((pods) =>
      containersOf(pods).flatMap(({ name, resources }) =>
        Object.entries(resources?.limits ?? {})
          .filter(([what, amount]) => quantity(amount) > quantity(max[what] ?? '1000000Gi'))
          .map(([what]): Found[number] => [
            `${nameOf(pods.owner)} ${name}`,
            `has a limit of ${what} above what the LimitRange lets in`,
          ]),
      ),
    )
  },
  'names-are-unique': (set) => {
    const seen = new Set<string>()
    return set.flatMap((document): Found => {
      const key = [document.apiVersion.split('/')[0], nameOf(document), document.metadata.namespace].join(' ')
      if (!seen.has(key)) return seen.add(key) && []
      return [[nameOf(document), 'is there twice: the one that is applied last would win']]
    })
  },
}
