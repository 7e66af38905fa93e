import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { addresses, type NodeAddress, nodes } from './addresses.ts'

const run = (program: string, ...args: string[]) =>
  execFileSync(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
const ip = (...args: string[]) => run('ip', ...args)

export const networkNamespace = ({ name }: NodeAddress) => `/run/netns/${name}`

/** Connects the machine and its nodes, each in a network namespace, by one bridge; every pod has a route. */
export function createNetwork(): void {
  run('mount', '-t', 'tmpfs', 'tmpfs', '/run')
  mkdirSync('/run/netns')
  // No name server is reachable: a name that /etc/hosts lacks is refused at once.
  writeFileSync('/run/resolv.conf', 'nameserver 127.0.0.1\n')
  run('mount', '--bind', '/run/resolv.conf', '/etc/resolv.conf')
  ip('link', 'set', 'lo', 'up')
  ip('link', 'add', 'cluster0', 'type', 'bridge')
  ip('address', 'add', `${addresses.host}/24`, 'dev', 'cluster0')
  ip('link', 'set', 'cluster0', 'up')
  run('sysctl', '--quiet', '--write', 'net.ipv4.ip_forward=1')
  for (const node of nodes) connect(node)
  // kube-proxy of the first node forwards to Services, so that clients outside the cluster reach the gateway's.
  ip('route', 'add', addresses.services, 'via', nodes[0]?.address ?? '')
}

function connect(node: NodeAddress): void {
  const { name, address, pods } = node
  const inside = (...args: string[]) => run('nsenter', `--net=${networkNamespace(node)}`, ...args)
  ip('netns', 'add', name)
  ip('link', 'add', name, 'master', 'cluster0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  ip('link', 'set', name, 'up')
  inside('ip', 'link', 'set', 'lo', 'up')
  inside('ip', 'address', 'add', `${address}/24`, 'dev', 'eth0')
  inside('ip', 'link', 'set', 'eth0', 'up')
  inside('ip', 'route', 'add', 'default', 'via', addresses.host)
  for (const other of nodes.filter((one) => one !== node))
    inside('ip', 'route', 'add', other.pods, 'via', other.address)
  inside('sysctl', '--quiet', '--write', 'net.ipv4.ip_forward=1')
  ip('route', 'add', pods, 'via', address)
}
