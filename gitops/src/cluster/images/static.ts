/** Images with one static program, its certificates and its user, under the names that the charts use. */
import { versionOf } from '../pins.ts'

export type StaticImage = {
  /** Without the tag, which is the program's version behind `v`. */
  name: string
  /** For charts whose tags have another form. */
  tag?: (version: string) => string
  program: string
  path: string
  /** Arguments that the entrypoint of the published image has. */
  args?: string[]
  user: string
  /** The working directory, where it is not the root folder. */
  folder?: string
  /** Further paths of the program. */
  links?: string[]
  /** Further programs and their paths. */
  more?: Record<string, string>
}

const plain = (version: string) => version
const kedaLogs = ['--zap-log-level=info', '--zap-encoder=console']
const certManager = { program: 'cert-manager', path: '/app/cert-manager', user: '1000:1000' }
const keda = { tag: plain, user: '65532:65532' }

export const staticImages: StaticImage[] = [
  { name: 'registry.k8s.io/pause', tag: plain, program: 'pause', path: '/pause', user: '65535:65535' },
  { name: 'registry.k8s.io/coredns/coredns', program: 'coredns', path: '/coredns', user: '65532:65532' },
  { name: 'quay.io/jetstack/cert-manager-controller', args: ['controller'], ...certManager },
  { name: 'quay.io/jetstack/cert-manager-webhook', args: ['webhook'], ...certManager },
  { name: 'quay.io/jetstack/cert-manager-cainjector', args: ['cainjector'], ...certManager },
  { name: 'quay.io/jetstack/cert-manager-startupapicheck', args: ['check'], ...certManager },
  {
    name: 'docker.io/envoyproxy/gateway',
    program: 'envoy-gateway',
    path: '/usr/local/bin/envoy-gateway',
    user: '65532:65532',
  },
  {
    name: 'ghcr.io/external-secrets/external-secrets',
    program: 'external-secrets',
    path: '/bin/external-secrets',
    user: '65534',
  },
  {
    // An instance copies the program of its architecture out of the folder `operator`.
    name: 'ghcr.io/cloudnative-pg/cloudnative-pg',
    tag: plain,
    program: 'cloudnative-pg',
    path: '/operator/manager_amd64',
    links: ['/manager'],
    user: '65532:65532',
  },
  {
    name: 'quay.io/argoproj/argo-rollouts',
    program: 'rollouts-controller',
    path: '/bin/rollouts-controller',
    more: { 'gateway-plugin': '/plugins/gateway-api' },
    user: '999',
    folder: '/home/argo-rollouts',
  },
  {
    name: 'registry.k8s.io/metrics-server/metrics-server',
    program: 'metrics-server',
    path: '/metrics-server',
    user: '65534',
  },
  {
    name: 'quay.io/prometheus-operator/prometheus-operator',
    program: 'prometheus-operator',
    path: '/bin/operator',
    user: '65534',
  },
  {
    name: 'quay.io/prometheus-operator/prometheus-config-reloader',
    program: 'prometheus-config-reloader',
    path: '/bin/prometheus-config-reloader',
    user: '65534',
  },
  {
    // The module of version 3.14.0 is 0.314.0.
    name: 'quay.io/prometheus/prometheus',
    tag: (version) => `v3.${Number(version.split('.')[1]) - 300}.${version.split('.')[2]}`,
    program: 'prometheus',
    path: '/bin/prometheus',
    user: '65534',
  },
  { name: 'reg.kyverno.io/kyverno/kyverno', program: 'kyverno', path: '/ko-app/kyverno', user: '65534' },
  { name: 'reg.kyverno.io/kyverno/kyvernopre', program: 'kyverno-init', path: '/ko-app/kyverno-init', user: '65534' },
  { name: 'ghcr.io/kedacore/keda', program: 'keda', path: '/keda', args: kedaLogs, ...keda },
  {
    name: 'ghcr.io/kedacore/keda-metrics-apiserver',
    program: 'keda-adapter',
    path: '/keda-adapter',
    args: ['--secure-port=6443', ...kedaLogs],
    ...keda,
  },
  {
    name: 'ghcr.io/kedacore/keda-admission-webhooks',
    program: 'keda-admission-webhooks',
    path: '/keda-admission-webhooks',
    args: kedaLogs,
    ...keda,
  },
]

export const fullName = ({ name, tag = (version) => `v${version}`, program }: StaticImage): string =>
  `${name}:${tag(versionOf(program))}`
