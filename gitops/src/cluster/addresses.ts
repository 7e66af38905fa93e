/** Addresses of the cluster that is made on one machine. They exist in its own network namespace only. */
export const addresses = {
  /** The API server, the registry and the forge listen here. */
  host: '172.30.0.1',
  network: '172.30.0.0/24',
  services: '10.96.0.0/16',
  kubernetes: '10.96.0.1',
  dns: '10.96.0.10',
  pods: '10.244.0.0/16',
} as const

export const apiServerPort = 6443
export const registryPort = 5000

export type NodeAddress = { name: string; address: string; pods: string; zone: string }

/** The nodes: each a kubelet and a containerd in namespaces of its own. */
export const nodes: NodeAddress[] = [1, 2].map((index) => ({
  name: `node${index}`,
  address: `172.30.0.${10 + index}`,
  pods: `10.244.${index}.0/24`,
  zone: `zone-${index}`,
}))
