import { type Document, type Labels, nameOf, ofKind, type Peer, type PolicyPort, selects } from './documents.ts'
import { containersOf, type Pods, podsOf } from './pods.ts'
import type { Rule } from './rule.ts'

type Found = [string, string][]

const hasPort = (pods: Pods, port: string | number | undefined) =>
  containersOf(pods).some(({ ports = [] }) => ports.some((p) => p.name === port || p.containerPort === port))

const selectedBy = (set: Document[], labels: Labels) =>
  podsOf(set).filter((pods) => selects({ matchLabels: labels }, pods.labels))

/** The pods of this namespace that a peer means; none for other namespaces and addresses. */
const ownPeers = (set: Document[], { podSelector, namespaceSelector }: Peer) =>
  podSelector && !namespaceSelector ? podsOf(set).filter(({ labels }) => selects(podSelector, labels)) : []

const policies = (set: Document[]) => ofKind(set, 'NetworkPolicy')
const denies = (set: Document[], direction: string) =>
  policies(set).some(({ spec = {} }) => {
    const rules = direction === 'Ingress' ? spec.ingress : spec.egress
    const all = Object.keys(spec.podSelector ?? {}).length === 0
    return all && spec.policyTypes?.includes(direction) && !rules?.length
  })

const missingPort = (pods: Pods[], ports: PolicyPort[] = []) =>
  pods.length === 0 ? undefined : ports.find(({ port }) => !pods.some((pod) => hasPort(pod, port)))

export const networkRules: Record<string, Rule> = {
  'service-selects-pods': (set) =>
    ofKind(set, 'Service')
      .filter(({ spec }) => selectedBy(set, spec?.selector ?? {}).length === 0 || !spec?.selector)
      .map((service) => [nameOf(service), 'selects no pod of this set']),
  'service-port-exists': (set) =>
    ofKind(set, 'Service').flatMap((service) =>
      (service.spec?.ports ?? []).flatMap(({ port, targetPort = port }): Found => {
        const pods = selectedBy(set, service.spec?.selector ?? {})
        const known = pods.every((pod) => hasPort(pod, targetPort))
        return known ? [] : [[nameOf(service), `sends to port ${targetPort}, which its pods do not have`]]
      }),
    ),
  'service-stays-inside': (set) =>
    ofKind(set, 'Service')
      .filter(({ spec }) => !['ClusterIP', undefined].includes((spec as { type?: string })?.type))
      .map((service) => [nameOf(service), 'is open beside the Gateway: make it ClusterIP']),
  'certificate-has-issuer': (set) =>
    ofKind(set, 'Gateway', 'Certificate').flatMap((document): Found => {
      if (document.kind === 'Gateway') {
        const issuer = document.metadata.annotations?.['cert-manager.io/cluster-issuer']
        const needed = document.spec?.listeners?.some(({ tls }) => tls?.certificateRefs?.length)
        return issuer || !needed
          ? []
          : [[nameOf(document), 'names no cert-manager.io/cluster-issuer for its certificates']]
      }
      const { kind = 'Issuer', name } = document.spec?.issuerRef ?? {}
      const known = kind !== 'Issuer' || ofKind(set, 'Issuer').some(({ metadata }) => metadata.name === name)
      return known ? [] : [[nameOf(document), `is issued by Issuer/${name}, which is not in this set`]]
    }),
  'nothing-flows-by-default': (set) =>
    podsOf(set).every(({ operated }) => operated)
      ? []
      : ['Ingress', 'Egress']
          .filter((direction) => !denies(set, direction))
          .map((direction) => ['NetworkPolicy', `none denies ${direction} of every pod`]),
  'policy-selects-pods': (set) =>
    policies(set)
      .filter(({ spec }) => !podsOf(set).some(({ labels }) => selects(spec?.podSelector ?? {}, labels)))
      .map((policy) => [nameOf(policy), 'selects no pod of this set']),
  'flow-in-has-port': (set) =>
    policies(set).flatMap((policy) =>
      (policy.spec?.ingress ?? []).flatMap(({ ports }): Found => {
        const pods = podsOf(set).filter(({ labels }) => selects(policy.spec?.podSelector ?? {}, labels))
        const wrong = missingPort(pods, ports)
        return wrong ? [[nameOf(policy), `lets in to port ${wrong.port}, which no pod that it selects has`]] : []
      }),
    ),
  'flow-out-has-port': (set) =>
    policies(set).flatMap((policy) =>
      (policy.spec?.egress ?? []).flatMap(({ to = [], ports }) =>
        to.flatMap((peer): Found => {
          const pods = ownPeers(set, peer)
          if (peer.podSelector && !peer.namespaceSelector && pods.length === 0) {
            return [[nameOf(policy), 'lets out to pods that are not in this set']]
          }
          const wrong = missingPort(pods, ports)
          return wrong ? [[nameOf(policy), `lets out to port ${wrong.port}, which no pod there has`]] : []
        }),
      ),
    ),
  'flow-names-both-ends': (set) =>
    policies(set).flatMap((policy) => {
      const { ingress = [], egress = [] } = policy.spec ?? {}
      const flows = [
        ...ingress.map(({ from, ports }) => ({ peers: from, ports })),
        ...egress.map(({ to, ports }) => ({ peers: to, ports })),
      ]
      return flows
        .filter(({ peers, ports }) => !peers?.length || !ports?.length || peers.some(isEverything))
        .map((): Found[number] => [nameOf(policy), 'lets everyone, or every port: name the peers and the ports'])
    }),
  'both-ends-agree': (set) =>
    policies(set).flatMap((policy) => {
      const senders = podsOf(set).filter(({ labels }) => selects(policy.spec?.podSelector ?? {}, labels))
      return (policy.spec?.egress ?? []).flatMap(({ to = [] }) =>
        to.flatMap((peer): Found => {
          const closed = ownPeers(set, peer).find((target) => !senders.every((sender) => letsIn(set, target, sender)))
          return closed ? [[nameOf(policy), `lets out to ${nameOf(closed.owner)}, which does not let it in`]] : []
        }),
      )
    }),
  'served-port-is-reachable': (set) =>
    ofKind(set, 'Service').flatMap((service) =>
      (service.spec?.ports ?? []).flatMap(({ port, targetPort = port }): Found => {
        const pods = selectedBy(set, service.spec?.selector ?? {})
        const open = pods.every((pod) => isOpen(set, pod, targetPort))
        return open ? [] : [[nameOf(service), `serves port ${targetPort}, to which no NetworkPolicy lets anyone in`]]
      }),
    ),
  'monitor-finds-service': (set) =>
    ofKind(set, 'ServiceMonitor').flatMap((monitor): Found => {
      const services = ofKind(set, 'Service').filter(({ metadata }) =>
        selects(monitor.spec?.selector ?? {}, metadata.labels ?? {}),
      )
      const found = (monitor.spec?.endpoints ?? []).every(({ port }) =>
        services.some(({ spec }) => spec?.ports?.some(({ name }) => name === port)),
      )
      return found ? [] : [[nameOf(monitor), 'watches a Service, or a port of it, that is not in this set']]
    }),
}

// Anywhere at all, and not even the private networks left out.
const isEverything = ({ ipBlock, podSelector, namespaceSelector }: Peer) =>
  ipBlock
    ? /\/0$/.test(ipBlock.cidr) && !ipBlock.except?.length
    : namespaceSelector !== undefined && selects(namespaceSelector, {}) && selects(podSelector ?? {}, {})

const entriesOf = (set: Document[], target: Pods) =>
  policies(set)
    .filter(({ spec }) => spec?.policyTypes?.includes('Ingress') && selects(spec.podSelector ?? {}, target.labels))
    .flatMap(({ spec }) => spec?.ingress ?? [])

const letsIn = (set: Document[], target: Pods, { labels }: Pods) =>
  entriesOf(set, target).some(({ from = [] }) =>
    from.some(
      ({ podSelector, namespaceSelector }) => podSelector && !namespaceSelector && selects(podSelector, labels),
    ),
  )

const isOpen = (set: Document[], target: Pods, port: string | number) => {
  const same = containersOf(target)
    .flatMap(({ ports = [] }) => ports)
    .find((p) => p.name === port || p.containerPort === port)
  return entriesOf(set, target).some(({ ports = [] }) =>
    ports.some((p) => p.port === same?.name || p.port === same?.containerPort),
  )
}
