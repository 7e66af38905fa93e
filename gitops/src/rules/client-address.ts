import { type Document, nameOf, ofKind, type Peer } from './documents.ts'
import { type Pods, podsOf } from './pods.ts'
import type { Rule } from './rule.ts'

type Found = [string, string][]

const privateRanges = /^(10\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.)/

/** The peers that may connect to the port http of pods. */
const clientsOf = (set: Document[], { labels }: Pods): Peer[] =>
  ofKind(set, 'NetworkPolicy')
    .filter(({ spec }) =>
      Object.entries(spec?.podSelector?.matchLabels ?? { none: '' }).every(([key, value]) => labels[key] === value),
    )
    .flatMap(({ spec }) => spec?.ingress ?? [])
    .filter(({ ports = [] }) => ports.some(({ port }) => port === 'http'))
    .flatMap(({ from = [] }) => from)

const trusted = (set: Document[], name: string | undefined) =>
  ofKind(set, 'ConfigMap').find(({ metadata }) => metadata.name === name)?.data?.TRUSTED_PROXIES

/** The proxies overwrite what a client writes about its address: the first hop believes nobody. */
const overwrites = (policies: Document[]) =>
  policies.length > 0 &&
  policies.every(({ spec }) => {
    const removed = (spec?.headers?.earlyRequestHeaders?.remove ?? []).map((name) => name.toLowerCase())
    return removed.includes('x-forwarded-for') && !spec?.clientIPDetection && !spec?.enableProxyProtocol
  })

function untrusted(set: Document[], pods: Pods): string | undefined {
  const cidr = trusted(set, pods.spec.containers[0]?.envFrom?.[0]?.configMapRef?.name)
  if (cidr === undefined) return undefined
  if (!privateRanges.test(cidr)) return `trusts ${cidr}, which is no range of a private network`
  for (const { ipBlock } of clientsOf(set, pods)) {
    if (ipBlock && ipBlock.cidr !== cidr) return `trusts ${cidr}, and its requests come from ${ipBlock.cidr}`
  }
  return undefined
}

export const clientAddressRules: Record<string, Rule> = {
  'trusted-proxies-are-the-gateway': (set) =>
    podsOf(set).flatMap((pods): Found => {
      const says = untrusted(set, pods)
      return says ? [[nameOf(pods.owner), says]] : []
    }),
  'gateway-overwrites-client-address': (set) => [
    ...ofKind(set, 'EnvoyProxy')
      .filter(() => !overwrites(ofKind(set, 'ClientTrafficPolicy')))
      .map((proxy): Found[number] => [
        nameOf(proxy),
        'passes on an X-Forwarded-For of its client: remove it early in a ClientTrafficPolicy, and trust no hop',
      ]),
    ...ofKind(set, 'LoadBalancerConfiguration')
      .filter(
        ({ spec }) =>
          !spec?.loadBalancerAttributes?.some(
            ({ key, value }) => key === 'routing.http.xff_header_processing.mode' && value === 'append',
          ),
      )
      .map((balancer): Found[number] => [nameOf(balancer), 'does not append the address of its client']),
  ],
}
