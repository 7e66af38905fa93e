import { isIPv4, isIPv6 } from 'node:net'

/**
 * What stands for a client's address: of IPv6 its /64, since a client has as many addresses there as it likes. A port
 * that a proxy added is left out; texts that are no address count as one.
 */
export function networkOf(ip: string): string {
  if (isIPv4(ip)) return ip
  const address = ip.replace(/^\[(.*)\](:\d+)?$/, '$1').replace(/^(\d+(?:\.\d+){3}):\d+$/, '$1')
  if (isIPv4(address)) return address
  return isIPv6(address) ? networkOfIPv6(address) : 'unknown'
}

function networkOfIPv6(address: string): string {
  const { hostname } = new URL(`http://[${address.replace(/%.*$/, '')}]`) // spells an address in one way only
  const [head = [], tail = []] = hostname
    .slice(1, -1)
    .split('::')
    .map((part) => part.split(':').filter((group) => group !== ''))
  const groups = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  if (groups.slice(0, 6).join(':') === '0:0:0:0:0:ffff') return groups.slice(6).flatMap(bytesOf).join('.')
  return `${groups.slice(0, 4).join(':')}::/64`
}

function bytesOf(group: string): number[] {
  const number = Number.parseInt(group, 16)
  return [number >> 8, number & 255]
}
