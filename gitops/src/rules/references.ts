import { type Document, ofKind } from './documents.ts'
import { containersOf, type Pods } from './pods.ts'

const given = (names: (string | undefined)[]) => names.filter((name) => name !== undefined)

/** The names of the Secrets that a pod reads. */
export const secretsOf = (pods: Pods): string[] =>
  given([
    ...containersOf(pods).flatMap(({ env = [], envFrom = [] }) => [
      ...env.map(({ valueFrom }) => valueFrom?.secretKeyRef?.name),
      ...envFrom.map(({ secretRef }) => secretRef?.name),
    ]),
    ...(pods.spec.volumes ?? []).flatMap(({ secret, projected }) => [
      secret?.secretName,
      ...(projected?.sources ?? []).map((source) => source.secret?.name),
    ]),
  ])

/** The names of the ConfigMaps that a pod reads. */
export const configMapsOf = (pods: Pods): string[] =>
  given([
    ...containersOf(pods).flatMap(({ env = [], envFrom = [] }) => [
      ...env.map(({ valueFrom }) => valueFrom?.configMapKeyRef?.name),
      ...envFrom.map(({ configMapRef }) => configMapRef?.name),
    ]),
    ...(pods.spec.volumes ?? []).flatMap(({ configMap, projected }) => [
      configMap?.name,
      ...(projected?.sources ?? []).map((source) => source.configMap?.name),
    ]),
  ])

/** The account that a pod runs as. */
export const accountsOf = ({ spec }: Pods): string[] => given([spec.serviceAccountName])

/** What makes each Secret of a set: none is in Git. */
export function secretMakers(set: Document[]): Map<string, Document> {
  const makers = new Map<string, Document>()
  for (const document of ofKind(set, 'ExternalSecret', 'Certificate', 'Gateway', 'Cluster')) {
    const { kind, metadata, spec = {} } = document
    const tls = (spec.listeners ?? []).flatMap(({ tls }) => tls?.certificateRefs ?? []).map(({ name }) => name)
    const made = {
      ExternalSecret: [spec.target?.name ?? metadata.name],
      Certificate: [spec.secretName],
      Gateway: tls,
      Cluster: [`${metadata.name}-app`],
    }[kind]
    for (const name of made ?? []) if (name !== undefined) makers.set(name, document)
  }
  return makers
}
