import { execFileSync } from 'node:child_process'

/** Names of what one run makes, so that it touches nothing else on the machine. */
export const cluster = 'orders-e2e'
const registryContainer = 'orders-e2e-registry'
const registryImage = 'registry:2.8.3@sha256:a3d8aaa63ed8681a604f1dea0aa03f100d5895b6a58ace528858a7b332415373'
/** As both the machine and the node of the cluster call it. */
export const registry = 'localhost:5001/orders'

const configuration = `kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
containerdConfigPatches:
  - |-
    [plugins."io.containerd.grpc.v1.cri".registry]
      config_path = "/etc/containerd/certs.d"
nodes:
  - role: control-plane
    extraPortMappings:
      - { containerPort: 80, hostPort: 80, listenAddress: 127.0.0.1 }
      - { containerPort: 443, hostPort: 443, listenAddress: 127.0.0.1 }
`

/** Runs a program and answers its output; its errors are shown. Throws an Error when it fails or is not there. */
export function run(program: string, args: string[], options: { input?: string; cwd?: string } = {}): string {
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

export const context = `kind-${cluster}`

export const kubectl = (...args: string[]) => run('kubectl', ['--context', context, ...args])

/** The objects of a kind in a namespace. */
export function list<T>(namespace: string, kind: string): T[] {
  return JSON.parse(kubectl('--namespace', namespace, 'get', kind, '--output', 'json')).items
}

/** Makes a cluster and a registry beside it, and answers the address at which pods reach this machine. */
export function createCluster(): string {
  run('kind', ['create', 'cluster', '--name', cluster, '--config', '-', '--wait', '5m'], { input: configuration })
  const port = ['--publish', '127.0.0.1:5001:5000']
  run('docker', ['run', '--detach', '--name', registryContainer, '--network', 'kind', ...port, registryImage])
  const [host] = registry.split('/')
  const folder = `/etc/containerd/certs.d/${host}`
  const script = `mkdir -p ${folder} && cat >${folder}/hosts.toml`
  const hosts = `[host."http://${registryContainer}:5000"]\n`
  run('docker', ['exec', '--interactive', `${cluster}-control-plane`, 'sh', '-c', script], { input: hosts })
  const networks = JSON.parse(run('docker', ['network', 'inspect', 'kind', '--format', '{{json .IPAM.Config}}']))
  const gateway = (networks as { Gateway?: string }[]).find(({ Gateway }) => Gateway?.includes('.'))?.Gateway
  if (gateway === undefined) throw new Error('The network kind has no IPv4 gateway: remove it, kind makes it anew.')
  return gateway
}

/** Keeps what explains a failure in a folder: of every node and pod, and what Argo CD says. */
export function keepLogs(folder: string): void {
  run('kind', ['export', 'logs', '--name', cluster, folder])
  for (const kind of ['applications', 'appprojects', 'events', 'pods', 'jobs', 'certificates', 'clusters']) {
    const yaml = kubectl('get', kind, '--all-namespaces', '--output', 'yaml')
    run('tee', [`${folder}/${kind}.yaml`], { input: yaml })
  }
}

export function removeCluster(): void {
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
