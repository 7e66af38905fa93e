import { Resolver } from 'node:dns/promises'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'

/** Answers every address of a host name, none if it has none. */
export type Lookup = (hostname: string) => Promise<string[]>

export type EgressOptions = {
  /** On a laptop: also http and other ports than 443, where every address is a loopback one. Default false. */
  allowLoopback?: boolean
}

/** Where a request may go. Whoever sends it connects to these addresses and asks no DNS server again. */
export type Destination = { url: URL; addresses: { address: string; family: 4 | 6 }[] }

const longestUrl = 2048
const lookupMs = 4000

/** A name that DNS can hold, of two labels or more, in ASCII; the last one starts with a letter. */
const dnsName = /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/

/** Names that mean something only inside: RFC 6761, 6762, 7686, 8375, 9476, and ICANN's .internal. */
const innerName = /\.(?:alt|arpa|internal|invalid|local|localhost|onion|test)$/

const localhostName = /^(?:[a-z0-9-]+\.)*localhost$/

/** IANA's special-purpose registries, and what clouds have taken from public space. */
const special = blockList(
  '0.0.0.0/8', // this network: Linux connects it to itself
  '10.0.0.0/8',
  '100.64.0.0/10', // carriers' NAT; 100.100.100.200 tells secrets on Alibaba Cloud
  '127.0.0.0/8',
  '168.63.129.16/32', // Azure's own services for a machine, in a public range
  '169.254.0.0/16', // link-local; 169.254.169.254 tells secrets on most clouds
  '172.16.0.0/12',
  '192.0.0.0/24', // protocol assignments; 192.0.0.192 tells secrets on Oracle's cloud
  '192.0.2.0/24', // documentation
  '192.31.196.0/24', // AS112
  '192.52.193.0/24', // AMT
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16',
  '192.175.48.0/24', // AS112
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, and broadcast
  '2001::/23', // protocol assignments: Teredo, benchmarks, ORCHID
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4: holds an IPv4 address
  '2620:4f:8000::/48', // AS112
  '3ffe::/16', // the 6bone that was
  '3fff::/20', // documentation
)

/**
 * All that IANA has given out for the public. What is outside is refused without a rule of its own: IPv4 in IPv6 (mapped,
 * compatible, NAT64), unique local, link-local, site-local, multicast, and what will be invented.
 */
const globalUnicast = blockList('2000::/3')

const loopback = blockList('127.0.0.0/8', '::1/128')

/** Whether anybody on the Internet would reach the same machine at this address; false for what is no address. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !holds(special, address)
  return holds(globalUnicast, address) && !holds(special, address)
}

/**
 * Why no request may go to this URL, as a sentence for its owner, as far as it shows without DNS: its form, and its host if
 * that is an address. Undefined if nothing is wrong.
 */
export function refusalOfUrl(text: string, { allowLoopback = false }: EgressOptions = {}): string | undefined {
  if (text.length > longestUrl) return `The URL must have at most ${longestUrl} characters.`
  // The parser would drop tabs and line ends, take \ for /, and read other scripts' digits and dots as plain ones.
  if (/[^\x21-\x7e]|\\/.test(text)) return 'The URL must be plain ASCII: xn-- for a host, % for a path.'
  const url = URL.parse(text)
  const [, authority = ''] = /^https?:\/\/([^/?#]*)/i.exec(text) ?? []
  if (url === null || authority === '') return 'The URL must be a whole one that starts with https://.'
  if (authority.includes('@')) return 'The URL must have no user name and no password.'
  if (!isOnHttpsPort(url) && !allowLoopback) return 'The URL must start with https:// and use port 443.'
  return refusalOfHost(url, authority.toLowerCase(), allowLoopback)
}

function refusalOfHost(url: URL, authority: string, allowLoopback: boolean): string | undefined {
  // Octal, hexadecimal, short and %-encoded forms, a port of 0443: the parser knows them all, and no honest owner does.
  const standardPort = url.protocol === 'https:' ? ':443' : ':80'
  if (authority !== url.host && authority !== url.hostname + standardPort) {
    return 'The host must be a name, or an address in its shortest usual form.'
  }
  const host = hostOf(url)
  if (isIP(host) > 0) return isAllowed(host, url, allowLoopback) ? undefined : notPublic
  if (localhostName.test(host)) return allowLoopback ? undefined : notPublic
  if (!dnsName.test(host)) return 'The host must be a full name such as hooks.example.com, with no dot at its end.'
  return innerName.test(host) ? notPublic : undefined
}

// One sentence whether a name is unknown or leads inside, so that nobody learns the names inside from it.
const notPublic = 'The host must have public addresses only.'

/**
 * Checks a URL with all the addresses its host has now. One that is not public refuses it. Never throws.
 * @param lookup by default asks the name servers of the machine, without its search list and its hosts file
 */
export async function checkUrl(
  text: string,
  { allowLoopback = false, lookup = createLookup() }: EgressOptions & { lookup?: Lookup } = {},
): Promise<Destination | { refusal: string }> {
  const refusal = refusalOfUrl(text, { allowLoopback })
  if (refusal !== undefined) return { refusal }
  const url = new URL(text)
  const addresses = await addressesOf(hostOf(url), lookup).catch(() => [])
  const allowed = addresses.length > 0 && addresses.every((address) => isAllowed(address, url, allowLoopback))
  if (!allowed) return { refusal: notPublic }
  return { url, addresses: addresses.map((address) => ({ address, family: isIP(address) === 4 ? 4 : 6 })) }
}

/** A lookup by DNS alone, which takes 4 s at most. If one family of addresses fails, the other counts. */
export function createLookup(resolver = new Resolver({ timeout: 1000, tries: 2 })): Lookup {
  const none = (): string[] => []
  return async (hostname) => {
    const families = [resolver.resolve4(hostname), resolver.resolve6(hostname)].map((it) => it.catch(none))
    // The resolver waits for each of the machine's name servers in turn.
    const late = delay(lookupMs, [], { ref: false })
    const answers = await Promise.all(families.map((it) => Promise.race([it, late])))
    return answers.flat()
  }
}

/** The `lookup` option of a socket that may only connect to the addresses that were checked. */
export function pinned({ addresses }: Destination): LookupFunction {
  return (_hostname, _options, callback) => callback(null, addresses)
}

async function addressesOf(host: string, lookup: Lookup): Promise<string[]> {
  if (isIP(host) > 0) return [host]
  return localhostName.test(host) ? ['127.0.0.1', '::1'] : lookup(host)
}

function isAllowed(address: string, url: URL, allowLoopback: boolean): boolean {
  return (isOnHttpsPort(url) && isPublicAddress(address)) || (allowLoopback && holds(loopback, address))
}

/** The parser has taken a :443 away already. */
function isOnHttpsPort({ protocol, port }: URL): boolean {
  return protocol === 'https:' && port === ''
}

function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '')
}

/** False for an address with a zone, as `fe80::1%eth0`: that is for one machine only. */
function holds(list: BlockList, address: string): boolean {
  return isIP(address) > 0 && !address.includes('%') && list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
}

function blockList(...subnets: string[]): BlockList {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network = '', prefix] = subnet.split('/')
    list.addSubnet(network, Number(prefix), isIP(network) === 4 ? 'ipv4' : 'ipv6')
  }
  return list
}
