import { type Document, groupOf, nameOf, ofKind } from './documents.ts'
import type { Rule } from './rule.ts'

/** The add-on that serves the kinds of an API group. */
const providers: Record<string, string> = {
  'argoproj.io': 'argo-rollouts',
  'cert-manager.io': 'cert-manager',
  'external-secrets.io': 'external-secrets',
  'gateway.envoyproxy.io': 'envoy-gateway',
  'gateway.k8s.aws': 'aws-load-balancer-controller',
  'gateway.networking.k8s.io': 'gateway-crds',
  'generators.external-secrets.io': 'external-secrets',
  'keda.sh': 'keda',
  'monitoring.coreos.com': 'prometheus-operator-crds',
  'policies.kyverno.io': 'kyverno',
  'postgresql.cnpg.io': 'cloudnative-pg',
}

/** The overlays that hold what the service's own objects refer to: issuers, priorities and policies; the Gateway. */
const sharedOverlays = ['cluster', 'gateway']

/** Does the health script of `platform/argocd/values.yaml` make a sync wave wait for this Application. */
const waited = ({ metadata }: Document) => metadata.labels?.['required-by'] !== undefined

const resourcesOf = (application: Document, sets: Map<string, Document[]>) => {
  const { source, sources } = application.spec?.template?.spec ?? application.spec ?? {}
  return (sources ?? (source ? [source] : [])).flatMap(
    ({ path }) => sets.get(path?.replace(/^gitops\//, '') ?? '') ?? [],
  )
}

const isHook = ({ metadata }: Document) => metadata.annotations?.['argocd.argoproj.io/hook'] !== undefined

const providersOf = (resources: Document[]) => resources.flatMap((resource) => providers[groupOf(resource)] ?? [])

/** The names of the Applications without which the service of a set cannot be synced. */
function requiredBy(set: Document[], sets: Map<string, Document[]>): Set<string> {
  const services = ofKind(set, 'Application', 'ApplicationSet').filter(
    ({ spec }) => (spec?.template?.spec ?? spec)?.project !== 'platform' && !isRoot(spec?.project),
  )
  if (services.length === 0) return new Set()
  const shared = ofKind(set, 'Application').filter(({ metadata }) => sharedOverlays.includes(metadata.name))
  const resources = [...services, ...shared].flatMap((application) => resourcesOf(application, sets))
  return new Set([...sharedOverlays, ...providersOf(resources)])
}

const isRoot = (project: string | undefined) => project === 'root'

/** The Applications that an Application waits for, and those that they wait for in turn. */
function awaitedBy(application: Document, sets: Map<string, Document[]>, seen = new Set<string>()): Set<string> {
  for (const child of ofKind(resourcesOf(application, sets), 'Application').filter(waited)) {
    if (seen.has(child.metadata.name)) continue
    seen.add(child.metadata.name)
    awaitedBy(child, sets, seen)
  }
  return seen
}

export const requirementRules: Record<string, Rule> = {
  'application-does-not-await-itself': (set, { sets }, path) =>
    ofKind(set, 'Application')
      .filter((application) => awaitedBy(application, new Map(sets).set(path, set)).has(application.metadata.name))
      .map((application) => [
        nameOf(application),
        'waits for its own sync, which never ends: remove the label required-by',
      ]),
  // Argo CD compares the revisions of two syncs only without the annotation, or when the revision is fixed (issue 22795).
  'hooks-run-for-every-commit': (set, { sets }) =>
    ofKind(set, 'Application')
      .filter(({ metadata }) => metadata.annotations?.['argocd.argoproj.io/manifest-generate-paths'] !== undefined)
      .filter((application) => resourcesOf(application, sets).some(isHook))
      .map((application) => [
        nameOf(application),
        'has hooks, which a commit during a sync would not run: remove the annotation manifest-generate-paths',
      ]),
  'application-names-its-paths': (set, { sets }) =>
    ofKind(set, 'Application')
      .filter(({ metadata }) => metadata.annotations?.['argocd.argoproj.io/manifest-generate-paths'] === undefined)
      .filter((application) => !resourcesOf(application, sets).some(isHook))
      .map((application) => [
        nameOf(application),
        'is compared at every commit of the repository: add the annotation manifest-generate-paths',
      ]),
  'waves-wait-for-requirements': (set, { sets }) => {
    const required = requiredBy(set, sets)
    return ofKind(set, 'Application')
      .filter((application) => application.spec?.project === 'platform')
      .flatMap((application): [string, string][] => {
        const needed = required.has(application.metadata.name)
        if (needed === waited(application)) return []
        return [
          [
            nameOf(application),
            needed
              ? 'serves kinds that the service uses, and no wave waits for it: add the label required-by'
              : 'holds back the service, which does not need it: remove the label required-by',
          ],
        ]
      })
  },
}
