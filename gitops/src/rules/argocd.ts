import { type ApplicationSource, type Document, type GroupKind, groupOf, nameOf, ofKind } from './documents.ts'
import type { Facts, Rule } from './rule.ts'

type Found = [string, string][]
type App = {
  document: Document
  spec: NonNullable<Document['spec']>
  name: string
  annotations: Record<string, string>
}

/** Applications, and what ApplicationSets make. */
const applications = (set: Document[]): App[] => [
  ...ofKind(set, 'Application').map((document) => ({
    document,
    spec: document.spec ?? {},
    name: nameOf(document),
    annotations: document.metadata.annotations ?? {},
  })),
  ...ofKind(set, 'ApplicationSet').map((document) => ({
    document,
    spec: document.spec?.template?.spec ?? {},
    name: nameOf(document),
    annotations: document.spec?.template?.metadata?.annotations ?? {},
  })),
]

const sourcesOf = ({ spec }: App): ApplicationSource[] => spec.sources ?? (spec.source ? [spec.source] : [])
const projectOf = (set: Document[], { spec }: App) =>
  ofKind(set, 'AppProject').find(({ metadata }) => metadata.name === spec.project)
const matches = (pattern: string | undefined, value: string | undefined) =>
  new RegExp(`^${(pattern ?? '').replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*')}$`).test(value ?? '')

const every =
  (look: (app: App, set: Document[], facts: Facts) => string[]): Rule =>
  (set, facts) =>
    applications(set).flatMap((app) => look(app, set, facts).map((says): Found[number] => [app.name, says]))

/** Does a project allow this resource: by its kind and, if it is in no namespace, by its name too. */
const allows = ({ spec = {} }: Document, resource: Document, name: string) =>
  resource.metadata.namespace === undefined
    ? spec.clusterResourceWhitelist?.some((allowed) => isOf(allowed, resource) && matches(allowed.name ?? '*', name))
    : spec.namespaceResourceWhitelist?.some((allowed) => isOf(allowed, resource))
const isOf = ({ group, kind }: GroupKind, resource: Document) => group === groupOf(resource) && kind === resource.kind

/** The kinds whose objects a chart names, and another version of it names otherwise. */
const namedByCharts = new Set([
  'ClusterRole',
  'ClusterRoleBinding',
  'CustomResourceDefinition',
  'MutatingWebhookConfiguration',
  'ValidatingWebhookConfiguration',
])

/** Does a failed sync get further attempts. Unlimited ones must read the newest commit, or they repeat a bad one. */
const retries = ({ limit = 0, refresh = false }: { limit?: number; refresh?: boolean } = {}) =>
  limit > 0 || (limit < 0 && refresh)

export const argocdRules: Record<string, Rule> = {
  'application-folder-exists': every((app, _set, { sets, exists }) => [
    ...sourcesOf(app)
      .filter(({ path }) => path !== undefined && !sets.has(path.replace(/^gitops\//, '')))
      .map(({ path }) => `points at ${path}, which is no overlay of this repository`),
    ...sourcesOf(app)
      .flatMap(({ helm }) => helm?.valueFiles?.slice(0, 1) ?? [])
      .filter((file) => !exists(file.replace('$values/', '')))
      .map((file) => `reads ${file}, which is not in this repository`),
  ]),
  'application-names-project': every((app, set) =>
    projectOf(set, app) && app.spec.project !== 'default'
      ? []
      : [`is of project ${app.spec.project}, which this set does not make`],
  ),
  'application-from-known-source': every((app, set) =>
    sourcesOf(app)
      .filter(({ repoURL }) => projectOf(set, app)?.spec?.sourceRepos?.includes(repoURL) === false)
      .map(({ repoURL }) => `comes from ${repoURL}, which its project does not list`),
  ),
  'application-to-known-namespace': every((app, set) => {
    const project = projectOf(set, app)
    const { namespace, server } = app.spec.destination ?? {}
    const open = project?.spec?.destinations?.some(
      (to) => matches(to.namespace, namespace) && matches(to.server, server),
    )
    return open === false ? [`goes to ${namespace}, which its project does not list`] : []
  }),
  'application-of-known-kinds': every((app, set, { sets }) => {
    const project = projectOf(set, app)
    if (!project) return []
    const resources = sourcesOf(app).flatMap(({ path }) => sets.get(path?.replace(/^gitops\//, '') ?? '') ?? [])
    // An ApplicationSet sets the namespace of what it makes.
    const named = ({ kind, metadata }: Document) =>
      app.document.kind === 'ApplicationSet' && kind === 'Namespace'
        ? (app.spec.destination?.namespace ?? '')
        : metadata.name
    const refused = resources.filter((resource) => !allows(project, resource, named(resource))).map(nameOf)
    return refused.length > 0 ? [`makes what its project does not list: ${[...new Set(refused)].join(', ')}`] : []
  }),
  'application-in-its-namespaces': every((app, set, { sets }) => {
    const project = projectOf(set, app)
    if (!project || app.document.kind === 'ApplicationSet') return []
    const resources = sourcesOf(app).flatMap(({ path }) => sets.get(path?.replace(/^gitops\//, '') ?? '') ?? [])
    const used = new Set(
      resources.map(({ kind, metadata }) => (kind === 'Namespace' ? metadata.name : metadata.namespace)),
    )
    return [...used]
      .filter((name) => name && !project.spec?.destinations?.some(({ namespace }) => matches(namespace, name)))
      .map((name) => `puts resources into ${name}, which its project does not list`)
  }),
  'application-heals': every(({ spec: { syncPolicy } }) => [
    ...(syncPolicy?.automated?.prune && syncPolicy.automated.selfHeal
      ? []
      : ['lets a cluster drift: set prune and selfHeal']),
    ...(retries(syncPolicy?.retry)
      ? []
      : ['tries once, or one commit for ever: set a retry limit above 0, or refresh']),
  ]),
  'application-watches-its-folder': every((app) => {
    const paths = app.annotations['argocd.argoproj.io/manifest-generate-paths']
    if (paths === undefined) return [] // It watches the whole repository.
    const watched = paths.split(';').map((path) => path.replace(/^\//, ''))
    const needed = sourcesOf(app).flatMap(({ path, helm }) => [
      path,
      ...(helm?.valueFiles ?? []).map((file) => file.replace('$values/', '')),
    ])
    return needed
      .filter((path) => path && !watched.some((folder) => folder && path.startsWith(folder)))
      .map((path) => `does not watch ${path}: add it to manifest-generate-paths`)
  }),
  'application-tells-failure': every(({ annotations }) =>
    Object.keys(annotations).some((key) => key.startsWith('notifications.argoproj.io/subscribe.on-sync-failed'))
      ? []
      : ['fails in silence: subscribe to on-sync-failed'],
  ),
  'chart-is-exact': every((app) =>
    sourcesOf(app)
      .filter(({ chart, targetRevision = '' }) => chart && !/^v?\d+\.\d+\.\d+$/.test(targetRevision))
      .map(
        ({ chart, targetRevision }) => `takes ${chart} ${targetRevision ?? 'of any version'}: name one exact version`,
      ),
  ),
  'source-is-a-branch-or-commit': every((app) =>
    sourcesOf(app)
      .filter(({ chart, targetRevision }) => !chart && (targetRevision === undefined || targetRevision === 'HEAD'))
      .map(() => 'follows whatever HEAD is: name a branch or a commit'),
  ),
  'project-has-no-star': (set) =>
    ofKind(set, 'AppProject').flatMap((project): Found => {
      const {
        sourceRepos = [],
        destinations = [],
        clusterResourceWhitelist = [],
        namespaceResourceWhitelist = [],
      } = project.spec ?? {}
      const kinds = [...clusterResourceWhitelist, ...namespaceResourceWhitelist].flatMap(({ group, kind }) => [
        group,
        kind,
      ])
      const places = destinations.flatMap(({ namespace, server, name }) => [namespace, server, name])
      // A prefix is exact enough for previews, whose namespaces have numbers; a star alone is everything.
      const star =
        sourceRepos.some((url) => url.includes('*')) || kinds.some((k) => k.includes('*')) || places.includes('*')
      return star ? [[nameOf(project), 'allows everything by a *: list sources, namespaces and kinds']] : []
    }),
  'project-names-cluster-objects': (set) =>
    ofKind(set, 'AppProject').flatMap((project) =>
      (project.spec?.clusterResourceWhitelist ?? []).flatMap(({ kind, name = '' }): Found => {
        if (!/^\**$/.test(name) || (project.metadata.name === 'platform' && namedByCharts.has(kind))) {
          const own = project.spec?.destinations?.some(({ namespace }) => namespace === name)
          return kind !== 'Namespace' || own
            ? []
            : [[nameOf(project), `may change the namespace ${name}, which is none of its destinations`]]
        }
        return [[nameOf(project), `may change any ${kind}, whoever owns it: add the name to clusterResourceWhitelist`]]
      }),
    ),
  'default-project-is-empty': (set) =>
    ofKind(set, 'AppProject').flatMap((project): Found => {
      const { sourceRepos = [], destinations = [] } = project.spec ?? {}
      const empty = project.metadata.name !== 'default' || sourceRepos.length + destinations.length === 0
      return empty ? [] : [[nameOf(project), 'allows something, to whoever names no project: leave it empty']]
    }),
  'default-project-is-there': (set) =>
    ofKind(set, 'AppProject').length > 0 &&
    !ofKind(set, 'AppProject').some(({ metadata }) => metadata.name === 'default')
      ? [['AppProject/default', 'is not here, so that the one of the installation allows everything']]
      : [],
  'production-has-hours': (set, _facts, path) => {
    if (!/^argocd\/overlays\/prod-/.test(path)) return []
    return ofKind(set, 'AppProject')
      .filter(({ metadata, spec }) => !['default', 'root'].includes(metadata.name) && !spec?.syncWindows?.length)
      .map((project) => [nameOf(project), 'changes production at any hour: give it sync windows'])
  },
  'add-ons-come-before-workloads': (set) => {
    const wave = ({ metadata }: Document) => Number(metadata.annotations?.['argocd.argoproj.io/sync-wave'] ?? 0)
    const workloads = ofKind(set, 'Application').filter(({ spec }) => spec?.project === 'orders')
    return ofKind(set, 'Application')
      .filter(({ spec }) => spec?.project === 'platform')
      .filter((addon) => workloads.some((workload) => wave(addon) >= wave(workload)))
      .map((addon) => [nameOf(addon), 'is not there before the workloads that need it: give it an earlier wave'])
  },
}
