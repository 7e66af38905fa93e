import { mkdirSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { addresses, apiServerPort } from './addresses.ts'
import { type Authority, createAuthority, createSigningKey, type Subject } from './certificates.ts'
import { type Running, start } from './processes.ts'
import { until } from './until.ts'

export type ControlPlane = {
  authority: Authority
  /** The kubeconfig of an administrator. */
  kubeconfig: string
  /** Writes a kubeconfig of a new user, and answers its path. */
  writeKubeconfig: (name: string, subject: Subject) => Promise<string>
  /** Replaces the API server, the controller manager and the scheduler by those of another version. */
  upgrade: (programs: Programs) => Promise<void>
  folder: string
  processes: Map<string, Running>
}

/** The programs of one version of Kubernetes. */
export type Programs = (name: string) => string

const etcdUrl = `http://127.0.0.1:2379`
const serverUrl = `https://${addresses.host}:${apiServerPort}`
const clusterNames = [
  'kubernetes',
  'kubernetes.default',
  'kubernetes.default.svc',
  'kubernetes.default.svc.cluster.local',
]

/** Starts etcd, the API server, the controller manager and the scheduler below `folder`. */
export async function startControlPlane(folder: string, logs: string, programs: Programs): Promise<ControlPlane> {
  const pki = join(folder, 'pki')
  mkdirSync(pki, { recursive: true })
  const authority = await createAuthority('kubernetes')
  const write = (name: string, text: string) => {
    writeFileSync(join(pki, name), text, { mode: 0o600 })
    return join(pki, name)
  }
  const pair = async (name: string, subject: Subject) => {
    const { certificate, key } = await authority.issue(subject)
    return [write(`${name}.crt`, certificate), write(`${name}.key`, key)] as const
  }
  const writeKubeconfig = async (name: string, subject: Subject) => {
    const { certificate, key } = await authority.issue(subject)
    return write(`${name}.kubeconfig`, kubeconfigText(authority.certificate, certificate, key))
  }

  const ca = write('ca.crt', authority.certificate)
  const caKey = write('ca.key', authority.key)
  const signing = createSigningKey()
  const [server, serverKey] = await pair('apiserver', {
    commonName: 'kube-apiserver',
    dnsNames: [...clusterNames, 'localhost'],
    addresses: ['127.0.0.1', addresses.host, addresses.kubernetes],
  })
  const [kubelet, kubeletKey] = await pair('apiserver-kubelet-client', {
    commonName: 'kube-apiserver-kubelet-client',
    organisation: 'system:masters',
  })
  const [proxy, proxyKey] = await pair('front-proxy-client', { commonName: 'front-proxy-client' })
  const files: Files = {
    ca,
    caKey,
    server,
    serverKey,
    kubelet,
    kubeletKey,
    proxy,
    proxyKey,
    signingPublic: write('sa.pub', signing.publicKey),
    signingPrivate: write('sa.key', signing.privateKey),
    controllerManager: await writeKubeconfig('controller-manager', { commonName: 'system:kube-controller-manager' }),
    scheduler: await writeKubeconfig('scheduler', { commonName: 'system:kube-scheduler' }),
  }
  const kubeconfig = await writeKubeconfig('admin', { commonName: 'admin', organisation: 'system:masters' })
  const processes = new Map<string, Running>()
  processes.set('etcd', startEtcd(folder, logs, programs))
  const startServers = async (programs: Programs) => {
    startApiServer(plane, files, logs, programs)
    await until('the API server answers', 3, async () => {
      const status = await readiness(authority.certificate)
      return status === 200 ? [] : [`/readyz: ${status}`]
    })
    // They end when the API server has not made its roles yet.
    startControllers(plane, files, logs, programs)
  }
  const upgrade = async (programs: Programs) => {
    for (const name of ['kube-scheduler', 'kube-controller-manager', 'kube-apiserver'])
      await processes.get(name)?.stop()
    await startServers(programs)
  }
  const plane: ControlPlane = { authority, kubeconfig, writeKubeconfig, upgrade, folder, processes }
  await startServers(programs)
  return plane
}

type Files = Record<
  | 'ca'
  | 'caKey'
  | 'server'
  | 'serverKey'
  | 'kubelet'
  | 'kubeletKey'
  | 'proxy'
  | 'proxyKey'
  | 'signingPublic'
  | 'signingPrivate'
  | 'controllerManager'
  | 'scheduler',
  string
>

function startEtcd(folder: string, logs: string, programs: Programs): Running {
  // The data are thrown away with the cluster, so nothing waits for the disk.
  return start(
    logs,
    'etcd',
    [],
    [
      programs('etcd'),
      `--data-dir=${join(folder, 'etcd')}`,
      `--listen-client-urls=${etcdUrl}`,
      `--advertise-client-urls=${etcdUrl}`,
      '--listen-peer-urls=http://127.0.0.1:2380',
      '--initial-advertise-peer-urls=http://127.0.0.1:2380',
      '--initial-cluster=default=http://127.0.0.1:2380',
      '--unsafe-no-fsync',
    ],
  )
}

function startApiServer(plane: ControlPlane, files: Files, logs: string, programs: Programs): void {
  // The documents of a hundred definitions fill its heap, and collecting them took a third of its time.
  const memory = { GOGC: '400', GOMEMLIMIT: '6GiB' }
  const run = (name: string, ...args: string[]) =>
    plane.processes.set(name, start(logs, name, [], [programs(name), ...args], memory))
  run(
    'kube-apiserver',
    `--etcd-servers=${etcdUrl}`,
    `--advertise-address=${addresses.host}`,
    `--secure-port=${apiServerPort}`,
    `--service-cluster-ip-range=${addresses.services}`,
    `--tls-cert-file=${files.server}`,
    `--tls-private-key-file=${files.serverKey}`,
    `--client-ca-file=${files.ca}`,
    `--kubelet-client-certificate=${files.kubelet}`,
    `--kubelet-client-key=${files.kubeletKey}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--service-account-key-file=${files.signingPublic}`,
    `--service-account-signing-key-file=${files.signingPrivate}`,
    '--service-account-issuer=https://kubernetes.default.svc.cluster.local',
    `--requestheader-client-ca-file=${files.ca}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-username-headers=X-Remote-User',
    `--proxy-client-cert-file=${files.proxy}`,
    `--proxy-client-key-file=${files.proxyKey}`,
    // The API server is outside the network of the Services: it calls webhooks and extension servers by their pods.
    '--enable-aggregator-routing=true',
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--allow-privileged=true',
  )
}

function startControllers(plane: ControlPlane, files: Files, logs: string, programs: Programs): void {
  const run = (name: string, ...args: string[]) =>
    plane.processes.set(name, start(logs, name, [], [programs(name), ...args]))
  run(
    'kube-controller-manager',
    ...clientFlags(files.controllerManager),
    `--service-account-private-key-file=${files.signingPrivate}`,
    `--root-ca-file=${files.ca}`,
    `--cluster-signing-cert-file=${files.ca}`,
    `--cluster-signing-key-file=${files.caKey}`,
    '--use-service-account-credentials=true',
    '--allocate-node-cidrs=false',
  )
  run('kube-scheduler', ...clientFlags(files.scheduler))
}

const clientFlags = (kubeconfig: string) => [
  `--kubeconfig=${kubeconfig}`,
  `--authentication-kubeconfig=${kubeconfig}`,
  `--authorization-kubeconfig=${kubeconfig}`,
  '--leader-elect=false',
  '--bind-address=127.0.0.1',
]

/** The status of the API server's own check, or why there is none. */
function readiness(ca: string): Promise<number | string> {
  return new Promise((resolve) => {
    const asking = request(`${serverUrl}/readyz`, { ca, timeout: 2000 }, (answer) => {
      answer.resume()
      resolve(answer.statusCode ?? 0)
    })
    asking.on('timeout', () => asking.destroy(new Error('no answer')))
    asking.on('error', (error) => resolve(error.message))
    asking.end()
  })
}

/** JSON is YAML. */
function kubeconfigText(ca: string, certificate: string, key: string): string {
  const data = (text: string) => Buffer.from(text).toString('base64')
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'cluster',
    clusters: [{ name: 'cluster', cluster: { server: serverUrl, 'certificate-authority-data': data(ca) } }],
    users: [{ name: 'user', user: { 'client-certificate-data': data(certificate), 'client-key-data': data(key) } }],
    contexts: [{ name: 'cluster', context: { cluster: 'cluster', user: 'user' } }],
  })
}
