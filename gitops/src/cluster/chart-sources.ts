import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Chart } from '../applications.ts'
import { build } from '../kustomize.ts'
import { type Changes, type Manifest, readManifests, toTemplates, yaml } from './manifest-templates.ts'
import { versionOf } from './pins.ts'
import { type ProgramWithSources, sourceFolder } from './programs.ts'
import { prometheusStack } from './prometheus-chart.ts'

/**
 * Where the contents of a chart come from, because no chart repository is reachable: `chart` is the project's own chart, as
 * its Go module contains it; `manifests` are the manifests of the module with the values that this repository gives;
 * `stub` is written here.
 */
export type ChartSource = { kind: 'chart' | 'manifests' | 'stub'; note: string } & (
  | {
      folder: () => Promise<string>
      files?: (folder: string) => Promise<Record<string, string>>
      /** The version of the program, which a release of the project writes into its chart. */
      appVersion: string
    }
  | { templates: (chart: Chart) => Promise<Record<string, string>> }
)

const ofProgram = async (program: ProgramWithSources, ...path: string[]) => join(await sourceFolder(program), ...path)

const ownChart = (
  program: ProgramWithSources,
  path: string,
  files?: (folder: string) => Promise<Record<string, string>>,
): ChartSource => ({
  kind: 'chart',
  note: `the project's own chart, from its Go module`,
  folder: () => ofProgram(program, path),
  appVersion: versionOf(program),
  ...(files === undefined ? {} : { files }),
})

/** A release of the project fills the values in. */
async function gatewayValues(folder: string): Promise<Record<string, string>> {
  const text = await readFile(join(folder, 'values.tmpl.yaml'), 'utf8')
  const image = `docker.io/envoyproxy/gateway:v${versionOf('envoy-gateway')}`
  return {
    'values.yaml': text.replace(/\$\{GatewayImage\}/, image).replace(/\$\{GatewayImagePullPolicy\}/, 'IfNotPresent'),
  }
}

const platform = join(import.meta.dirname, '../../platform')

/** Removes the definitions that the values of this repository turn off, by `crds.createKIND` or `crds.PLURAL.enabled`. */
async function withoutTurnedOff(chart: string, definitions: Manifest[]): Promise<Manifest[]> {
  const { crds = {} } = parse(await readFile(join(platform, chart, 'values.yaml'), 'utf8')) ?? {}
  return definitions.filter(({ spec }) => {
    const { kind, plural } = (spec as { names: { kind: string; plural: string } }).names
    return crds[`create${kind}`] !== false && crds[plural]?.enabled !== false
  })
}

/** Definitions that a release puts into its chart, or that a chart of another repository has. */
const definitions = (program: ProgramWithSources, path: string) => async () => {
  const found = await withoutTurnedOff(program, await fromFolder(program, path)())
  return Object.fromEntries(found.map((definition) => [`crds/${definition.metadata.name}.yaml`, yaml(definition)]))
}

const manifests = (read: () => Promise<Manifest[]>, changes: Changes = {}): ChartSource => ({
  kind: 'manifests',
  note: 'the manifests of its Go module, with the values of this repository',
  templates: async (chart) => {
    const all = (await read()).filter(({ kind }) => kind !== 'Namespace')
    return toTemplates(all.map(labelled(chart)), changes)
  },
})

/** Names the chart in the labels of pods, as charts do, so that a new version of the chart has new pods. */
const labelled =
  ({ name, version }: Chart) =>
  (manifest: Manifest): Manifest => {
    const spec = manifest.spec as { template?: { metadata?: { labels?: Record<string, string> } } } | undefined
    const template = spec?.template
    if (template?.metadata === undefined || manifest.kind === 'CustomResourceDefinition') return manifest
    const labels = { ...template.metadata.labels, 'helm.sh/chart': `${name}-${version}` }
    return { ...manifest, spec: { ...spec, template: { ...template, metadata: { ...template.metadata, labels } } } }
  }

const stub = (note: string): ChartSource => ({
  kind: 'stub',
  note,
  templates: async ({ name }) =>
    toTemplates([{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { stub: note } }], {}),
})

const fromFile =
  (program: ProgramWithSources, ...path: string[]) =>
  async () =>
    readManifests(await readFile(await ofProgram(program, ...path), 'utf8'))

const fromKustomization =
  (program: ProgramWithSources, ...path: string[]) =>
  async () =>
    readManifests(await build(await ofProgram(program, ...path)))

const fromFolder =
  (program: ProgramWithSources, ...path: string[]) =>
  async () => {
    const folder = await ofProgram(program, ...path)
    const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml') && file !== 'kustomization.yaml')
    const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
    return texts.flatMap(readManifests)
  }

/** The data of a ConfigMap from the values at these paths, over those that the manifest has. */
const fromValues =
  (...paths: string[]) =>
  (manifest: Manifest) => ({ ...manifest, data: { $values: paths, $default: manifest.data } })

type Workload = { template: { spec: { containers: Record<string, unknown>[] } } }

/** Takes the resources of a workload's first container from the value at `path`, as the published chart does. */
const resources = (path: string) => (manifest: Manifest) => {
  const { template, ...spec } = manifest.spec as Workload
  const [first, ...others] = template.spec.containers
  const containers = [{ ...first, resources: { $value: path } }, ...others]
  return { ...manifest, spec: { ...spec, template: { ...template, spec: { ...template.spec, containers } } } }
}

/** The manifests of a module name the image of its main branch; a release names that of its version. */
const tagged = (program: ProgramWithSources, read: () => Promise<Manifest[]>) => async () => {
  const version = program === 'keda' ? versionOf(program) : `v${versionOf(program)}`
  const text = JSON.stringify(await read()).replaceAll(/("image":"[^":]+):(?:main|latest)"/g, `$1:${version}"`)
  return JSON.parse(text) as Manifest[]
}

const withoutDex = ({ metadata }: Manifest) => !metadata.name.startsWith('argocd-dex-server')

const argocd: Changes = {
  'ConfigMap/argocd-cm': fromValues('configs.cm'),
  'ConfigMap/argocd-cmd-params-cm': fromValues('configs.params'),
  'ConfigMap/argocd-rbac-cm': fromValues('configs.rbac'),
  'ConfigMap/argocd-notifications-cm': fromValues(
    'notifications.notifiers',
    'notifications.templates',
    'notifications.triggers',
  ),
  'StatefulSet/argocd-application-controller': resources('controller.resources'),
  'Deployment/argocd-repo-server': resources('repoServer.resources'),
  'Deployment/argocd-server': resources('server.resources'),
  'Deployment/argocd-applicationset-controller': resources('applicationSet.resources'),
  'Deployment/argocd-redis': resources('redis.resources'),
  'Deployment/argocd-notifications-controller': resources('notifications.resources'),
}

/** The published chart lets the controller, and so its plugin, write routes; the manifests of the module do not. */
const routesOfRollouts: Manifest[] = [
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name: 'argo-rollouts-routes' },
    rules: [
      {
        apiGroups: ['gateway.networking.k8s.io'],
        resources: ['httproutes'],
        verbs: ['get', 'list', 'watch', 'update', 'patch'],
      },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'argo-rollouts-routes' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'argo-rollouts-routes' },
    subjects: [{ kind: 'ServiceAccount', name: 'argo-rollouts', namespace: 'argo-rollouts' }],
  },
]

const chartSources: Record<string, ChartSource> = {
  'argo-cd': manifests(async () => (await fromFile('argocd', 'manifests/install.yaml')()).filter(withoutDex), argocd),
  'argo-rollouts': manifests(
    async () => [
      ...(await tagged('rollouts-controller', fromFile('rollouts-controller', 'manifests/install.yaml'))()),
      ...routesOfRollouts,
    ],
    {
      'ConfigMap/argo-rollouts-config': (manifest) => ({
        ...manifest,
        data: { trafficRouterPlugins: { $yaml: 'controller.trafficRouterPlugins' } },
      }),
      'Deployment/argo-rollouts': resources('controller.resources'),
    },
  ),
  'cert-manager': ownChart('cert-manager', 'deploy/charts/cert-manager'),
  'cloudnative-pg': manifests(fromFile('cloudnative-pg', 'releases/cnpg-1.29.1.yaml'), {
    'Deployment/cnpg-controller-manager': resources('resources'),
  }),
  'external-secrets': ownChart(
    'external-secrets',
    'deploy/charts/external-secrets',
    definitions('external-secrets', 'config/crds/bases'),
  ),
  'gateway-crds-helm': ownChart('envoy-gateway', 'charts/gateway-crds-helm'),
  'gateway-helm': ownChart('envoy-gateway', 'charts/gateway-helm', gatewayValues),
  keda: manifests(tagged('keda', fromKustomization('keda', 'config/default')), {
    'Deployment/keda-operator': resources('resources.operator'),
    'Deployment/keda-metrics-apiserver': resources('resources.metricServer'),
    'Deployment/keda-admission': resources('resources.webhooks'),
  }),
  'kube-prometheus-stack': {
    kind: 'manifests',
    note: "the manifests of the operator with a Prometheus, without Grafana, Alertmanager and the chart's values",
    templates: async (chart) => {
      const rbac = (folder: string) => fromFolder('prometheus-operator', 'example/rbac', folder)()
      const all = prometheusStack(await rbac('prometheus-operator'), await rbac('prometheus'))
      return toTemplates(all.map(labelled(chart)), {})
    },
  },
  kyverno: ownChart('kyverno', 'charts/kyverno', definitions('kyverno', 'config/crds/policies.kyverno.io')),
  loki: stub('Loki is in no registry that this machine reaches'),
  'metrics-server': ownChart('metrics-server', 'charts/metrics-server'),
  'opentelemetry-collector': stub('the Collector takes minutes to build; issue 16 starts it'),
  'prometheus-operator-crds': manifests(async () => {
    const all = await fromFolder('prometheus-operator', 'example/prometheus-operator-crd')()
    return withoutTurnedOff('prometheus-operator-crds', all)
  }),
  tempo: stub('Tempo is in no registry that this machine reaches'),
}

const noPrometheus = stub('no step of a short run needs metrics of the service')

/** The source of a chart in a run with these programs; undefined for an unknown chart. */
export const chartSource = (name: string, programs: string[]): ChartSource | undefined =>
  name === 'kube-prometheus-stack' && !programs.includes('prometheus') ? noPrometheus : chartSources[name]
