import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createAuthority } from './certificates.ts'
import { createContext } from './context.ts'
import { startForge } from './forge.ts'
import { gitHost, makeFork, repositoryUrl } from './fork.ts'
import { connect, type Kubernetes } from './kubernetes.ts'
import { releaseRegistry, stageRelease } from './release-images.ts'
import type { Context } from './scenario/step.ts'

/** Names of what one run creates, so that it touches nothing else on the machine. */
const cluster = 'orders-e2e'
const registryContainer = 'orders-e2e-registry'
const registryImage = 'registry:2.8.3@sha256:a3d8aaa63ed8681a604f1dea0aa03f100d5895b6a58ace528858a7b332415373'
const registryUrl = 'http://127.0.0.1:5001'

const configuration = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
nodes:
  - role: control-plane
    extraPortMappings:
      - { containerPort: 30080, hostPort: 80, listenAddress: 127.0.0.1 }
      - { containerPort: 30443, hostPort: 443, listenAddress: 127.0.0.1 }
`

/** Runs a program and answers its output; its errors are shown. Throws an Error when it fails or is missing. */
function run(program: string, args: string[], options: { input?: string; cwd?: string } = {}): string {
  try {
    const stdio = ['pipe', 'pipe', 'inherit'] as const
    return execFileSync(program, args, { ...options, stdio: [...stdio], encoding: 'utf8', maxBuffer: 2 ** 28 }).trim()
  } catch (error) {
    const missing = (error as { code?: string }).code === 'ENOENT'
    const advice = missing
      ? `needs ${program}: install it and put it on PATH`
      : `failed at ${program} ${args[0]}: see above`
    throw new Error(`This ${advice}.`, { cause: error })
  }
}

/** Creates a cluster and a registry beside it, and answers the address at which pods reach this machine. */
function createCluster(): string {
  run('kind', ['create', 'cluster', '--name', cluster, '--config', '-', '--wait', '5m'], { input: configuration })
  const port = ['--publish', '127.0.0.1:5001:5000']
  run('docker', ['run', '--detach', '--name', registryContainer, '--network', 'kind', ...port, registryImage])
  const [host] = releaseRegistry.split('/')
  const folder = `/etc/containerd/certs.d/${host}`
  const script = `mkdir -p ${folder} && cat >${folder}/hosts.toml`
  const hosts = `[host."http://${registryContainer}:5000"]\n`
  run('docker', ['exec', '--interactive', `${cluster}-control-plane`, 'sh', '-c', script], { input: hosts })
  const networks = JSON.parse(run('docker', ['network', 'inspect', 'kind', '--format', '{{json .IPAM.Config}}']))
  const gateway = (networks as { Gateway?: string }[]).find(({ Gateway }) => Gateway?.includes('.'))?.Gateway
  if (gateway === undefined) throw new Error('The network kind has no IPv4 gateway: remove it, kind makes it anew.')
  return gateway
}

/** Keeps what explains a failure in a folder: the logs of every node and pod, and the objects of Argo CD. */
export async function keepKindLogs(folder: string, kubernetes: Kubernetes): Promise<void> {
  run('kind', ['export', 'logs', '--name', cluster, folder])
  for (const kind of [
    'applications',
    'appprojects',
    'events',
    'pods',
    'jobs',
    'certificates',
    'clusters',
    'gateways',
    'httproutes',
  ]) {
    writeFileSync(
      join(folder, `${kind}.yaml`),
      await kubernetes.kubectl('get', kind, '--all-namespaces', '--output=yaml'),
    )
  }
}

export function removeKind(): void {
  const commands: [string, string[]][] = [
    ['kind', ['delete', 'cluster', '--name', cluster]],
    ['docker', ['rm', '--force', '--volumes', registryContainer]],
  ]
  for (const [program, args] of commands) {
    try {
      run(program, args)
    } catch (error) {
      console.error((error as Error).message)
    }
  }
}

/**
 * Creates a cluster by kind, which needs Docker and takes charts and images from their public registries. Steps that need
 * the programs of a cluster of this machine's own do not run there.
 */
export async function createKindContext(folder: string): Promise<Context> {
  const gateway = createCluster()
  const kubeconfig = join(folder, 'kubeconfig')
  writeFileSync(kubeconfig, run('kind', ['get', 'kubeconfig', '--name', cluster]), { mode: 0o600 })
  process.env.KUBECONFIG = kubeconfig
  const kubernetes = await connect('kubectl', kubeconfig)
  const fork = makeFork(folder)
  const authority = await createAuthority('forge')
  const noCharts = { hosts: [], serve: () => {}, publish: async () => {} }
  await startForge(authority, fork.served, noCharts, { host: gateway, port: 443 })
  await nameForge(kubernetes, gateway)
  await stageRelease(folder)
  return createContext(kubernetes, fork, folder, registryUrl)
}

/** Lets the pods of Argo CD find the forge; its certificate is not checked, because no pod trusts its authority. */
async function nameForge(kubernetes: Kubernetes, gateway: string): Promise<void> {
  const corefile = await kubernetes.read('/api/v1/namespaces/kube-system/configmaps/coredns')
  const hosts = `hosts {\n    ${gateway} ${gitHost}\n    fallthrough\n  }\n  forward`
  const data = { Corefile: String(corefile?.data?.Corefile).replace('forward', hosts) }
  const metadata = { name: 'coredns', namespace: 'kube-system' }
  await kubernetes.apply(
    { apiVersion: 'v1', kind: 'ConfigMap', metadata, data },
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'argocd' } },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'fork', namespace: 'argocd', labels: { 'argocd.argoproj.io/secret-type': 'repository' } },
      stringData: { type: 'git', url: repositoryUrl, insecure: 'true' },
    },
  )
}
