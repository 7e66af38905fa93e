import { type Document, nameOf, ofKind, selects, waveOf } from './documents.ts'
import { podsOf } from './pods.ts'
import { accountsOf, configMapsOf, secretMakers, secretsOf } from './references.ts'
import { releaseSeconds } from './rollback.ts'
import type { Rule } from './rule.ts'

type Found = [string, string][]

const annotation = ({ metadata }: Document, name: string) => metadata.annotations?.[`argocd.argoproj.io/${name}`]
const hooks = (set: Document[]) => set.filter((document) => annotation(document, 'hook'))

// Within a wave, Argo CD applies these before any pod; what an operator has to act on first needs a wave of its own.
const appliedFirst = new Set(['NetworkPolicy', 'ServiceAccount', 'ConfigMap'])

const mustComeFirst = (first: Document, then: Document): Found =>
  waveOf(first) < waveOf(then) || (waveOf(first) === waveOf(then) && appliedFirst.has(first.kind))
    ? []
    : [[nameOf(then), `does not wait for ${nameOf(first)}: give it a later wave`]]

export const orderRules: Record<string, Rule> = {
  'hooks-are-bounded': (set) =>
    ofKind(set, 'Job').flatMap((job): Found => {
      const { backoffLimit, activeDeadlineSeconds, template } = job.spec ?? {}
      const finite =
        backoffLimit !== undefined &&
        backoffLimit <= 3 &&
        activeDeadlineSeconds !== undefined &&
        activeDeadlineSeconds + (template?.spec?.terminationGracePeriodSeconds ?? 30) <= releaseSeconds
      const says = `may hold up a rollback: set backoffLimit up to 3, activeDeadlineSeconds with the grace of its pods up to ${releaseSeconds}, restartPolicy Never`
      return finite && template?.spec?.restartPolicy === 'Never' ? [] : [[nameOf(job), says]]
    }),
  'jobs-are-hooks': (set) =>
    ofKind(set, 'Job')
      .filter((job) => !annotation(job, 'hook') || annotation(job, 'hook-delete-policy') !== 'BeforeHookCreation')
      .map((job) => [
        nameOf(job),
        'would run once and block the next sync: make it a hook, deleted BeforeHookCreation',
      ]),
  'no-hook-before-sync': (set) =>
    hooks(set)
      .filter((hook) => annotation(hook, 'hook') === 'PreSync')
      .map((hook) => [
        nameOf(hook),
        'runs before the configuration of its own sync is there: make it a Sync hook with a wave',
      ]),
  'waves-are-numbers': (set) =>
    set
      .filter((document) => !/^-?\d+$/.test(annotation(document, 'sync-wave') ?? '0'))
      .map((document) => [nameOf(document), 'has a wave that is no whole number']),
  'namespace-comes-first': (set) =>
    ofKind(set, 'Namespace').flatMap((namespace) =>
      set
        .filter(({ metadata }) => metadata.namespace === namespace.metadata.name)
        .flatMap((document) =>
          waveOf(document) >= waveOf(namespace)
            ? []
            : ([[nameOf(document), `comes before its ${nameOf(namespace)}`]] as Found),
        ),
    ),
  'pods-wait-for-what-they-read': (set) =>
    podsOf(set).flatMap((pods) => {
      const makers = secretMakers(set)
      const needed = [
        ...ofKind(set, 'ConfigMap').filter(({ metadata }) => configMapsOf(pods).includes(metadata.name)),
        ...ofKind(set, 'ServiceAccount').filter(({ metadata }) => accountsOf(pods).includes(metadata.name)),
        ...secretsOf(pods).flatMap((name) => makers.get(name) ?? []),
      ]
      return needed.flatMap((first) => mustComeFirst(first, pods.owner))
    }),
  'policies-come-before-pods': (set) =>
    podsOf(set).flatMap((pods) =>
      ofKind(set, 'NetworkPolicy')
        .filter(({ spec }) => selects(spec?.podSelector ?? {}, pods.labels))
        .flatMap((policy) => mustComeFirst(policy, pods.owner)),
    ),
  'migration-comes-before-service': (set) => {
    const migrations = ofKind(set, 'Job').filter(({ spec }) =>
      argumentsOf(spec?.template?.spec).includes('packages/database/src/migrate-cli.ts'),
    )
    const services = podsOf(set).filter(
      ({ spec, ends }) => !ends && argumentsOf(spec).some((path) => /^apps\/[^/]+\/src\//.test(path)),
    )
    if (services.length > 0 && migrations.length === 0)
      return [['Job', 'none migrates the database before the service starts']]
    return migrations.flatMap((job) => services.flatMap(({ owner }) => mustComeFirst(job, owner)))
  },
  'database-comes-before-migration': (set) =>
    ofKind(set, 'Cluster').flatMap((cluster) => ofKind(set, 'Job').flatMap((job) => mustComeFirst(cluster, job))),
}

const argumentsOf = (spec: { containers: { args?: string[] }[] } | undefined) =>
  (spec?.containers ?? []).flatMap(({ args = [] }) => args)
