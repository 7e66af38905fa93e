import { parseAllDocuments } from 'yaml'

export type Labels = Record<string, string>
export type Selector = {
  matchLabels?: Labels
  matchExpressions?: { key: string; operator: string; values?: string[] }[]
}
export type Reference = { apiVersion?: string; kind: string; name: string }
export type SecurityContext = {
  runAsNonRoot?: boolean
  runAsUser?: number
  privileged?: boolean
  allowPrivilegeEscalation?: boolean
  readOnlyRootFilesystem?: boolean
  seccompProfile?: { type?: string }
  capabilities?: { drop?: string[]; add?: string[] }
}
export type Probe = { httpGet?: { path?: string; port?: string | number } }
type Named = { name?: string }
export type Container = {
  name: string
  image?: string
  imagePullPolicy?: string
  command?: string[]
  args?: string[]
  env?: { name: string; value?: string; valueFrom?: { configMapKeyRef?: Named; secretKeyRef?: Named } }[]
  envFrom?: { configMapRef?: Named; secretRef?: Named }[]
  ports?: { name?: string; containerPort: number; protocol?: string }[]
  resources?: { requests?: Record<string, string | number>; limits?: Record<string, string | number> }
  securityContext?: SecurityContext
  startupProbe?: Probe
  livenessProbe?: Probe
  readinessProbe?: Probe
  lifecycle?: { preStop?: { sleep?: { seconds: number } } }
  volumeMounts?: { name: string; mountPath: string }[]
}
type Source = { secret?: Named & { secretName?: string; optional?: boolean }; configMap?: Named }
export type PodSpec = {
  serviceAccountName?: string
  automountServiceAccountToken?: boolean
  hostNetwork?: boolean
  hostPID?: boolean
  hostIPC?: boolean
  restartPolicy?: string
  activeDeadlineSeconds?: number
  terminationGracePeriodSeconds?: number
  securityContext?: SecurityContext
  topologySpreadConstraints?: { labelSelector?: Selector }[]
  containers: Container[]
  initContainers?: Container[]
  volumes?: ({
    name: string
    hostPath?: unknown
    emptyDir?: { sizeLimit?: string }
    projected?: { sources: Source[] }
  } & Source)[]
}
export type Peer = {
  podSelector?: Selector
  namespaceSelector?: Selector
  ipBlock?: { cidr: string; except?: string[] }
}
export type PolicyPort = { port?: string | number; protocol?: string }
export type GroupKind = { group: string; kind: string; name?: string }
export type ApplicationSource = {
  repoURL: string
  path?: string
  chart?: string
  ref?: string
  targetRevision?: string
  helm?: { valueFiles?: string[] }
}

/** A listener of a Gateway. */
export type GatewayListener = {
  name: string
  port: number
  protocol: string
  hostname?: string
  tls?: { certificateRefs?: { name: string }[] }
  allowedRoutes?: { namespaces?: { from?: string; selector?: Selector } }
}

/** The fields of any resource that the rules look at; schemas have made sure of their types. */
export type Spec = {
  replicas?: number
  instances?: number
  postgresql?: { parameters?: Record<string, string> }
  selector?: Selector & Labels
  template?: { metadata?: { labels?: Labels; annotations?: Labels; name?: string }; spec?: PodSpec & Spec }
  strategy?: {
    rollingUpdate?: Surge
    canary?: Surge & {
      steps?: unknown[]
      trafficRouting?: { plugins?: Record<string, { httpRoute?: string; namespace?: string }> }
      analysis?: { templates?: { templateName: string }[] }
      canaryService?: string
      stableService?: string
    }
  }
  workloadRef?: Reference
  scaleTargetRef?: Reference
  minReplicas?: number
  maxReplicas?: number
  minReplicaCount?: number
  maxReplicaCount?: number
  triggers?: { type: string; name?: string; metadata: Record<string, string> }[]
  minAvailable?: number | string
  maxUnavailable?: number | string
  hard?: Record<string, string | number>
  limits?: { type: string; max?: Record<string, string | number> }[]
  resources?: Container['resources']
  ports?: { name?: string; port: number; targetPort?: string | number }[]
  gatewayClassName?: string
  listeners?: GatewayListener[]
  parentRefs?: { name: string; sectionName?: string }[]
  hostnames?: string[]
  rules?: {
    backendRefs?: { name: string; port?: number; weight?: number }[]
    filters?: { requestRedirect?: { scheme?: string } }[]
    timeouts?: { request?: string; backendRequest?: string }
  }[]
  headers?: { earlyRequestHeaders?: { remove?: string[] } }
  clientIPDetection?: unknown
  enableProxyProtocol?: boolean
  timeout?: { http?: { requestTimeout?: string; requestReceivedTimeout?: string } }
  retry?: { retryOn?: { triggers?: string[] } }
  requestBuffer?: unknown
  listenerConfigurations?: { protocolPort: string; defaultCertificate?: string }[]
  loadBalancerAttributes?: { key: string; value: string }[]
  provider?: { kubernetes?: { envoyDeployment?: { replicas?: number; strategy?: { rollingUpdate?: Surge } } } }
  podSelector?: Selector
  policyTypes?: string[]
  ingress?: { from?: Peer[]; ports?: PolicyPort[] }[]
  egress?: { to?: Peer[]; ports?: PolicyPort[] }[]
  endpoints?: { port?: string }[]
  backoffLimit?: number
  activeDeadlineSeconds?: number
  scopes?: string[]
  progressDeadlineSeconds?: number
  minReadySeconds?: number
  target?: { name?: string; template?: { data?: Labels } }
  data?: { secretKey: string }[]
  secretStoreRef?: { name: string; kind?: string }
  dataFrom?: { sourceRef?: { generatorRef?: Reference } }[]
  secretName?: string
  issuerRef?: { name: string; kind?: string }
  project?: string
  source?: ApplicationSource
  sources?: ApplicationSource[]
  destination?: { namespace?: string; server?: string }
  sourceRepos?: string[]
  destinations?: { namespace?: string; server?: string; name?: string }[]
  clusterResourceWhitelist?: GroupKind[]
  namespaceResourceWhitelist?: GroupKind[]
  syncWindows?: { kind: string }[]
  ignoreDifferences?: { kind: string; jqPathExpressions?: string[] }[]
  syncPolicy?: {
    automated?: { prune?: boolean; selfHeal?: boolean }
    syncOptions?: string[]
    retry?: { limit?: number; refresh?: boolean; backoff?: { maxDuration?: string } }
  }
}
type Surge = { maxSurge?: number | string; maxUnavailable?: number | string }

/** One resource of a cluster. */
export type Document = {
  apiVersion: string
  kind: string
  metadata: { name: string; namespace?: string; labels?: Labels; annotations?: Labels }
  data?: Record<string, string>
  stringData?: Record<string, string>
  automountServiceAccountToken?: boolean
  rules?: { apiGroups?: string[]; resources?: string[]; verbs?: string[] }[]
  roleRef?: Reference
  spec?: Spec
}

/** The resources of rendered YAML. Throws an Error for what is not YAML. */
export function readDocuments(yaml: string): Document[] {
  return parseAllDocuments(yaml, { uniqueKeys: true }).flatMap((document) => {
    if (document.errors[0]) throw document.errors[0]
    const value = document.toJS() as Document | null
    return value === null ? [] : [value]
  })
}

/** How a finding names a resource. */
export const nameOf = ({ kind, metadata }: Document) => `${kind}/${metadata.name}`

/** The group of a resource; the core group is ''. */
export const groupOf = ({ apiVersion }: Document) =>
  apiVersion.includes('/') ? (apiVersion.split('/')[0] as string) : ''

export const ofKind = (set: Document[], ...kinds: string[]) => set.filter(({ kind }) => kinds.includes(kind))

/** The wave in which Argo CD applies a resource, 0 unless it says another; PostSync comes after every wave. */
export function waveOf({ metadata: { annotations = {} } }: Document): number {
  if (annotations['argocd.argoproj.io/hook'] === 'PostSync') return Number.POSITIVE_INFINITY
  return Number(annotations['argocd.argoproj.io/sync-wave'] ?? 0)
}

/** Does a selector choose these labels. An empty one chooses all. */
export function selects({ matchLabels = {}, matchExpressions = [] }: Selector, labels: Labels): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      const has = labels[key] !== undefined
      if (operator === 'Exists') return has
      if (operator === 'DoesNotExist') return !has
      return values.includes(labels[key] ?? '') === (operator === 'In')
    })
  )
}

const units: Record<string, number> = {
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

/** A Kubernetes quantity as a number of cores, bytes or pieces; NaN if it is none. */
export function quantity(value: string | number | undefined): number {
  const [, digits, unit = ''] = /^([\d.]+)([a-zA-Z]*)$/.exec(String(value ?? '')) ?? []
  return Number(digits ?? Number.NaN) * (unit === '' ? 1 : (units[unit] ?? Number.NaN))
}
