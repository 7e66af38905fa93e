import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { addresses, type NodeAddress, registryPort } from './addresses.ts'
import type { ControlPlane, Programs } from './control-plane.ts'
import type { Kubernetes } from './kubernetes.ts'
import { cgroup } from './machine.ts'
import { networkNamespace } from './network.ts'
import { versionOf } from './pins.ts'
import { type Running, start, type Where } from './processes.ts'
import { until } from './until.ts'

export type Node = { address: NodeAddress; where: Where; processes: Map<string, Running> }

/**
 * Starts a node: containerd, kubelet, kube-proxy and kube-router (network policies) in a network and a mount namespace of
 * their own.
 */
export async function startNode(
  plane: ControlPlane,
  kubernetes: Kubernetes,
  address: NodeAddress,
  logs: string,
  programs: Programs,
): Promise<Node> {
  const { name } = address
  const folder = join(plane.folder, name)
  mkdirSync(join(folder, 'cni'), { recursive: true })
  const where = holdNamespaces(address, logs)
  for (const path of ['/var/lib/kubelet', '/var/log', '/var/lib/cni']) mountEmpty(where, path)
  createCgroup(name)
  const kubeconfig = await plane.writeKubeconfig(name, {
    commonName: `system:node:${name}`,
    organisation: 'system:nodes',
  })
  const proxyKubeconfig = await plane.writeKubeconfig(`${name}-proxy`, { commonName: 'system:kube-proxy' })
  const routerKubeconfig = await plane.writeKubeconfig(`${name}-router`, {
    commonName: 'kube-router',
    organisation: 'system:masters',
  })
  const { certificate, key } = await plane.authority.issue({
    commonName: `system:node:${name}`,
    organisation: 'system:nodes',
    dnsNames: [name],
    addresses: [address.address],
  })
  const write = (file: string, text: string) => {
    writeFileSync(join(folder, file), text, { mode: 0o600 })
    return join(folder, file)
  }
  write('cni/10-pods.conflist', JSON.stringify(podNetwork(address, folder)))
  write('resolv.conf', `nameserver ${addresses.dns}\n`)
  mkdirSync(join(folder, 'certs.d/_default'), { recursive: true })
  write(
    'certs.d/_default/hosts.toml',
    `[host."http://${addresses.host}:${registryPort}"]\ncapabilities = ["pull", "resolve"]\n`,
  )
  write('ca.crt', plane.authority.certificate)

  const processes = new Map<string, Running>()
  const run = (program: string, ...command: string[]) =>
    processes.set(program, start(logs, `${name}-${program}`, where, command))
  run('containerd', programs('containerd'), '--config', write('containerd.toml', containerdText(folder)))
  await until(`containerd of ${name} listens`, 1, async () =>
    existsSync(join(folder, 'containerd.sock')) ? [] : ['there is no socket'],
  )
  run(
    'kubelet',
    programs('kubelet'),
    `--config=${write('kubelet.yaml', stringify(kubeletConfiguration(address, folder)))}`,
    `--kubeconfig=${kubeconfig}`,
    `--hostname-override=${name}`,
    `--node-ip=${address.address}`,
    `--node-labels=topology.kubernetes.io/zone=${address.zone}`,
    `--root-dir=${join(folder, 'kubelet')}`,
    `--tls-cert-file=${write('kubelet.crt', certificate)}`,
    `--tls-private-key-file=${write('kubelet.key', key)}`,
  )
  run(
    'kube-proxy',
    programs('kube-proxy'),
    `--config=${write('kube-proxy.yaml', stringify(proxyConfiguration(name, proxyKubeconfig)))}`,
  )
  await until(`${name} is registered`, 3, async () =>
    (await kubernetes.read(`/api/v1/nodes/${name}`)) === undefined ? ['the kubelet has not registered it'] : [],
  )
  // It ends where its node is not registered.
  run(
    'kube-router',
    programs('kube-router'),
    '--run-router=false',
    '--run-service-proxy=false',
    '--run-loadbalancer=false',
    '--run-firewall=true',
    `--hostname-override=${name}`,
    `--kubeconfig=${routerKubeconfig}`,
    `--service-cluster-ip-range=${addresses.services}`,
  )
  return { address, where, processes }
}

/** Creates the node's mount namespace, held by a process that does nothing, and answers how to enter it. */
function holdNamespaces(address: NodeAddress, logs: string): Where {
  const network = `--net=${networkNamespace(address)}`
  const { child } = start(
    logs,
    `${address.name}-namespaces`,
    [network],
    ['unshare', '--mount', '--propagation=private', 'sleep', 'infinity'],
  )
  const mounts = `/proc/${child.pid}/ns/mnt`
  // nsenter and unshare replace themselves, so the process is there; it has its own mounts a moment later.
  const own = execFileSync('readlink', ['/proc/self/ns/mnt'], { encoding: 'utf8' })
  while (execFileSync('readlink', [mounts], { encoding: 'utf8' }) === own) execFileSync('sleep', ['0.01'])
  return [network, `--mount=${mounts}`]
}

function mountEmpty(where: Where, path: string): void {
  mkdirSync(path, { recursive: true })
  execFileSync('nsenter', [...where, 'mount', '-t', 'tmpfs', 'tmpfs', path])
}

/** The parent of the node's pods, in every hierarchy of cgroup version 1, or in the one of version 2. */
function createCgroup(name: string): void {
  const version2 = existsSync('/sys/fs/cgroup/cgroup.controllers')
  for (const root of version2 ? ['/sys/fs/cgroup'] : globSync('/sys/fs/cgroup/*/')) {
    for (const path of [join(root, cgroup), join(root, cgroup, name)]) {
      mkdirSync(path, { recursive: true })
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        if (version2 || !existsSync(join(path, file))) continue
        writeFileSync(join(path, file), readFileSync(join(root, file)))
      }
    }
  }
}

function podNetwork({ pods }: NodeAddress, folder: string) {
  const ipam = {
    type: 'host-local',
    ranges: [[{ subnet: pods }]],
    routes: [{ dst: '0.0.0.0/0' }],
    dataDir: join(folder, 'ipam'),
  }
  return {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      { type: 'bridge', bridge: 'pods0', isGateway: true, hairpinMode: true, ipMasq: false, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  }
}

const containerdText = (folder: string) => `version = 2
root = "${folder}/containerd"
state = "/run/containerd-${folder.split('/').at(-1)}"
[grpc]
  address = "${folder}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:${versionOf('pause')}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "${folder}/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${folder}/certs.d"
`

function kubeletConfiguration({ address }: NodeAddress, folder: string) {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: join(folder, 'ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${cgroup}/${folder.split('/').at(-1)}`,
    clusterDNS: [addresses.dns],
    clusterDomain: 'cluster.local',
    containerRuntimeEndpoint: `unix://${folder}/containerd.sock`,
    enforceNodeAllocatable: [],
    evictionHard: { 'memory.available': '200Mi', 'nodefs.available': '1%', 'imagefs.available': '1%' },
    failCgroupV1: false,
    failSwapOn: false,
    imageGCHighThresholdPercent: 100,
    maxPods: 80,
    podLogsDir: join(folder, 'pod-logs'),
    resolvConf: join(folder, 'resolv.conf'),
    serializeImagePulls: false,
  }
}

function proxyConfiguration(name: string, kubeconfig: string) {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig },
    clusterCIDR: addresses.pods,
    // The kernel has one table of connections for all namespaces, whose size is not the node's to set.
    conntrack: { maxPerCore: 0, min: 0 },
    hostnameOverride: name,
    mode: 'iptables',
  }
}
