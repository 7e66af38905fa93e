import { type Document, type GatewayListener, nameOf, ofKind } from './documents.ts'
import type { Facts, Rule } from './rule.ts'

type Found = [string, string][]

/** Classes that a controller outside this repository makes: Application Gateway for Containers on Azure. */
const foreignClasses = ['azure-alb-external']

/** The set that holds the Gateway of a set of the service; previews use the Gateway of dev. */
function gatewaySet({ sets }: Facts, path: string): Document[] {
  const target = path.split('/').at(-1) ?? ''
  return sets.get(`platform/gateway/overlays/${target === 'preview' ? 'dev-azure' : target}`) ?? []
}

const backendsOf = (route: Document) => (route.spec?.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs)
const redirectsOf = (route: Document) => (route.spec?.rules ?? []).flatMap(({ filters = [] }) => filters)
const listenersOf = (set: Document[]) => ofKind(set, 'Gateway').flatMap(({ spec }) => spec?.listeners ?? [])

/** Whether a listener serves a host; `*.example.com` serves every host below example.com. */
const covers = ({ hostname = '' }: GatewayListener, host: string) =>
  hostname.startsWith('*.') ? host.endsWith(hostname.slice(1)) : hostname === host

/** Whether a listener accepts routes of a namespace of the service. */
function admits({ allowedRoutes }: GatewayListener, namespace: string | undefined): boolean {
  const labels = { 'kubernetes.io/metadata.name': namespace, 'app.kubernetes.io/part-of': 'orders' }
  const wanted = Object.entries(allowedRoutes?.namespaces?.selector?.matchLabels ?? {})
  return wanted.length > 0 && wanted.every(([key, value]) => labels[key as keyof typeof labels] === value)
}

const certificatesOf = (set: Document[], listener: GatewayListener) => [
  ...(listener.tls?.certificateRefs ?? []).map(({ name }) => name),
  ...ofKind(set, 'LoadBalancerConfiguration')
    .flatMap(({ spec }) => spec?.listenerConfigurations ?? [])
    .filter(({ protocolPort }) => protocolPort === `HTTPS:${listener.port}`)
    .flatMap(({ defaultCertificate = [] }) => defaultCertificate),
]

const redirects = (set: Document[], { name }: GatewayListener) =>
  ofKind(set, 'HTTPRoute').some(
    (route) =>
      route.spec?.parentRefs?.some(({ sectionName }) => sectionName === name) &&
      backendsOf(route).length === 0 &&
      redirectsOf(route).some(({ requestRedirect }) => requestRedirect?.scheme === 'https'),
  )

function plainListener(set: Document[], listener: GatewayListener): string | undefined {
  if (listener.protocol === 'HTTPS') {
    return certificatesOf(set, listener).length > 0 ? undefined : `has no certificate for the listener ${listener.name}`
  }
  const closed = listener.protocol === 'HTTP' && listener.allowedRoutes?.namespaces?.from === 'Same'
  return closed && redirects(set, listener)
    ? undefined
    : `serves plain HTTP at the listener ${listener.name}: allow routes from Same, and redirect them to https`
}

function plainRoute(route: Document, listeners: GatewayListener[]): string | undefined {
  const { parentRefs = [], hostnames = [] } = route.spec ?? {}
  if (hostnames.length === 0) return 'names no host'
  for (const { sectionName } of parentRefs) {
    const listener = listeners.find(({ name }) => name === sectionName)
    if (listener?.protocol !== 'HTTPS') return `attaches to ${sectionName ?? 'every listener'}, which is not encrypted`
    if (!admits(listener, route.metadata.namespace)) return `is not admitted by the listener ${listener.name}`
    const host = hostnames.find((name) => !covers(listener, name))
    if (host) return `serves ${host}, for which the listener ${listener.name} has no certificate`
  }
  return parentRefs.length > 0 ? undefined : 'attaches to no Gateway'
}

/** What makes proxies cut a long request, or send one twice. */
function backendBounds(policy: Document): Found {
  const { timeout, retry, requestBuffer } = policy.spec ?? {}
  const says = 'cuts imports, exports or streams: set requestTimeout to 0s, and no requestBuffer'
  if (timeout?.http?.requestTimeout !== '0s' || requestBuffer) return [[nameOf(policy), says]]
  const triggers = retry?.retryOn?.triggers ?? []
  return triggers.length === 1 && triggers[0] === 'connect-failure'
    ? []
    : [[nameOf(policy), 'may send a request twice: retry only after connect-failure']]
}

/** The Applications whose folder holds a Rollout. */
const withRollout = (set: Document[], sets: Map<string, Document[]>): Document[] =>
  ofKind(set, 'Application').filter(
    ({ spec }) => ofKind(sets.get(spec?.source?.path?.replace(/^gitops\//, '') ?? '') ?? [], 'Rollout').length > 0,
  )

const hasOption = ({ spec }: Document, option: string): boolean =>
  spec?.syncPolicy?.syncOptions?.includes(`${option}=true`) === true

/** Whether an Application leaves alone what another program writes into resources of a kind that Git does not change. */
const keeps = (application: Document, ofResources: string, expression: string): boolean =>
  hasOption(application, 'ApplyOutOfSyncOnly') &&
  application.spec?.ignoreDifferences?.some(
    ({ kind, jqPathExpressions = [] }) => kind === ofResources && jqPathExpressions.includes(expression),
  ) === true

export const gatewayRules: Record<string, Rule> = {
  'gateway-class-exists': (set) =>
    ofKind(set, 'Gateway')
      .filter(({ spec }) => !foreignClasses.includes(spec?.gatewayClassName ?? ''))
      .filter(
        ({ spec }) => !ofKind(set, 'GatewayClass').some(({ metadata }) => metadata.name === spec?.gatewayClassName),
      )
      .map((gateway) => [
        nameOf(gateway),
        `is of class ${gateway.spec?.gatewayClassName}, which this set does not make`,
      ]),
  'gateway-is-encrypted': (set) =>
    ofKind(set, 'Gateway').flatMap((gateway) =>
      (gateway.spec?.listeners ?? []).flatMap((listener): Found => {
        const says = plainListener(set, listener)
        return says ? [[nameOf(gateway), says]] : []
      }),
    ),
  'route-reaches-service': (set) =>
    ofKind(set, 'HTTPRoute').flatMap((route) =>
      backendsOf(route).flatMap(({ name, port }): Found => {
        const service = ofKind(set, 'Service').find(({ metadata }) => metadata.name === name)
        const known = service?.spec?.ports?.some((one) => one.port === port)
        return known ? [] : [[nameOf(route), `sends to port ${port} of ${name}, which is not in this set`]]
      }),
    ),
  'route-is-encrypted': (set, facts, path) =>
    ofKind(set, 'HTTPRoute')
      .filter((route) => backendsOf(route).length > 0)
      .flatMap((route): Found => {
        const says = plainRoute(route, listenersOf(gatewaySet(facts, path)))
        return says ? [[nameOf(route), says]] : []
      }),
  'gateway-bounds-no-request': (set) => [
    ...ofKind(set, 'BackendTrafficPolicy').flatMap(backendBounds),
    ...ofKind(set, 'ClientTrafficPolicy')
      .filter(({ spec }) => !['0s', undefined].includes(spec?.timeout?.http?.requestReceivedTimeout))
      .map((policy): Found[0] => [nameOf(policy), 'cuts imports: set no requestReceivedTimeout']),
    ...ofKind(set, 'HTTPRoute')
      .filter(({ spec }) => spec?.rules?.some(({ timeouts }) => timeouts !== undefined))
      .map((route): Found[0] => [nameOf(route), 'cuts imports, exports or streams: set no timeouts']),
  ],
  'canary-weights-are-kept': (set, { sets }) =>
    withRollout(set, sets)
      .filter((application) => !keeps(application, 'HTTPRoute', '.spec.rules[].backendRefs[].weight'))
      .map((application) => [
        nameOf(application),
        'resets the weights of a canary: set ApplyOutOfSyncOnly=true, and ignore the weights of the HTTPRoute',
      ]),
  'canary-selectors-are-kept': (set, { sets }) =>
    withRollout(set, sets)
      .filter((application) => !keeps(application, 'Service', '.spec.selector["rollouts-pod-template-hash"]'))
      .map((application) => [
        nameOf(application),
        'resets the selectors of a canary, so that each Service has the pods of both releases: set ApplyOutOfSyncOnly=true, and ignore those of the Services',
      ]),
  // With that option, each sync replaces the whole list from Git with the list in the cluster.
  'ignored-lists-are-applied': (set) =>
    ofKind(set, 'Application')
      .filter((application) => hasOption(application, 'RespectIgnoreDifferences'))
      .filter(({ spec }) =>
        spec?.ignoreDifferences?.some(({ jqPathExpressions = [] }) =>
          jqPathExpressions.some((it) => it.includes('[]')),
        ),
      )
      .map((application) => [
        nameOf(application),
        'never applies changes to a list that contains an ignored field: remove the sync option RespectIgnoreDifferences',
      ]),
  // By default, a server-side comparison leaves out what is added to a list that Argo CD owns as a whole.
  'route-is-compared-whole': (set) =>
    ofKind(set, 'HTTPRoute')
      .filter((route) => backendsOf(route).length > 0)
      .filter(
        ({ metadata }) =>
          metadata.annotations?.['argocd.argoproj.io/compare-options'] !== 'IncludeMutationWebhook=true',
      )
      .map((route) => [
        nameOf(route),
        'may miss a backend that Git adds: set the compare option IncludeMutationWebhook=true',
      ]),
  'canary-splits-requests': (set) =>
    ofKind(set, 'Rollout').flatMap((rollout): Found => {
      const { trafficRouting, stableService, canaryService } = rollout.spec?.strategy?.canary ?? {}
      const { httpRoute, namespace } = trafficRouting?.plugins?.['argoproj-labs/gatewayAPI'] ?? {}
      const route = ofKind(set, 'HTTPRoute').find(({ metadata }) => metadata.name === httpRoute)
      const names = backendsOf(route ?? rollout).map(({ name }) => name)
      const divided = [stableService, canaryService].every((name) => name !== undefined && names.includes(name))
      return divided && namespace === rollout.metadata.namespace
        ? []
        : [[nameOf(rollout), 'divides no requests: name an HTTPRoute of this namespace that sends to both Services']]
    }),
}
