import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import ipaddr from 'ipaddr.js'
import t, { type Test } from 'tap'
import { checkUrl, createLookup, isPublicAddress, refusalOfUrl } from '../src/index.ts'
import { hostileUrls, innerAddresses, startDns } from '../testing/index.ts'

const outside = ['93.184.215.14', '2606:2800:21f:cb07::1']
const urls = hostileUrls([443, 80, 8080, 6379])

/** What the platform makes of a URL, over the one scheme and port that are allowed: the host alone can refuse it. */
function inPlainForm(url: string): string | undefined {
  const parsed = URL.parse(url)
  return parsed?.host ? `https://${parsed.hostname}/` : undefined
}

async function startZone(t: Test, zone: Record<string, string[][]>) {
  const dns = await startDns(zone)
  t.teardown(dns.close)
  return { ...dns, lookup: createLookup(dns.resolver) }
}

t.test('what is meant for the public passes', async (t) => {
  const allowed = [
    'https://hooks.example.com',
    'https://HOOKS.example.com:443/a/b?c=d#e',
    'https://xn--bcher-kva.example.com/',
    'https://1and1.com/',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]/%7Bid%7D',
  ]
  for (const url of allowed) t.equal(refusalOfUrl(url), undefined, url)
})

t.test('no hostile URL passes, by its form or by its host', async (t) => {
  t.ok(urls.length >= 1000, `${urls.length} URLs`)
  t.strictSame(
    urls.filter((url) => refusalOfUrl(url) === undefined),
    [],
  )
  const hosts = urls.flatMap((url) => inPlainForm(url) ?? []).filter((url) => !/\.com\.?\/$/.test(url))
  t.ok(new Set(hosts).size >= 150, `${new Set(hosts).size} hosts in their plain form`)
  t.strictSame(
    hosts.filter((url) => refusalOfUrl(url) === undefined),
    [],
  )
})

t.test('a refusal is a sentence and never echoes the URL', async (t) => {
  const refusals = new Set(urls.map((url) => refusalOfUrl(url)))
  t.ok(refusals.size >= 7, `${refusals.size} sentences`)
  for (const refusal of refusals) t.match(refusal, /^The (URL|host) must [^\d%]*(2048|443|% for a path)?[^\d%]*\.$/)
})

t.test('every range ends where its registry says', async (t) => {
  const edges: [before: string, first: string, last: string, after: string][] = [
    ['9.255.255.255', '10.0.0.0', '10.255.255.255', '11.0.0.0'],
    ['100.63.255.255', '100.64.0.0', '100.127.255.255', '100.128.0.0'],
    ['126.255.255.255', '127.0.0.0', '127.255.255.255', '128.0.0.0'],
    ['168.63.129.15', '168.63.129.16', '168.63.129.16', '168.63.129.17'],
    ['169.253.255.255', '169.254.0.0', '169.254.255.255', '169.255.0.0'],
    ['172.15.255.255', '172.16.0.0', '172.31.255.255', '172.32.0.0'],
    ['191.255.255.255', '192.0.0.0', '192.0.0.255', '192.0.1.0'],
    ['192.0.1.255', '192.0.2.0', '192.0.2.255', '192.0.3.0'],
    ['192.88.98.255', '192.88.99.0', '192.88.99.255', '192.88.100.0'],
    ['192.167.255.255', '192.168.0.0', '192.168.255.255', '192.169.0.0'],
    ['198.17.255.255', '198.18.0.0', '198.19.255.255', '198.20.0.0'],
    ['198.51.99.255', '198.51.100.0', '198.51.100.255', '198.51.101.0'],
    ['203.0.112.255', '203.0.113.0', '203.0.113.255', '203.0.114.0'],
    ['2001:200::', '2001::', '2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff', '2001:200::'],
    ['2001:db7:ffff::', '2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff', '2001:db9::'],
    ['2001:ffff::', '2002::', '2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '2003::'],
    ['3ffd::', '3ffe::', '3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '3fff:1000::'],
    ['3fff:1000::', '3fff::', '3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff', '3fff:1000::'],
  ]
  for (const [before, first, last, after] of edges) {
    t.strictSame([before, first, last, after].map(isPublicAddress), [true, false, false, true], first)
  }
  t.strictSame(['0.0.0.0', '0.255.255.255', '1.0.0.0'].map(isPublicAddress), [false, false, true])
  t.strictSame(['223.255.255.255', '224.0.0.0', '255.255.255.255'].map(isPublicAddress), [true, false, false])
  t.strictSame(['1fff::', '2000::', '3fff:ffff::', '4000::'].map(isPublicAddress), [false, true, true, false])
  for (const no of ['', 'a', '::1%lo', '2606:4700::1%eth0', '::ffff:8.8.8.8', '08.8.8.8']) {
    t.notOk(isPublicAddress(no), no)
  }
})

t.test('whatever a second judge calls special is not public', async (t) => {
  // One address in each /16 of IPv4, and one in each /16 of IPv6, from its edges and its middle in turn.
  let judged = 0
  for (let block = 0; block < 65_536; block++) {
    const v4 = `${block >> 8}.${block & 255}.${(block * 97) & 255}.${(block * 31) & 255}`
    const v6 = `${block.toString(16)}:${((block * 7919) & 0xffff).toString(16)}::1`
    for (const address of [v4, v6]) {
      if (ipaddr.parse(address).range() === 'unicast') continue
      judged++
      if (isPublicAddress(address)) t.fail(`${address} is ${ipaddr.parse(address).range()}`)
    }
  }
  t.ok(judged > 9000, `${judged} addresses`)
})

t.test('on a laptop loopback passes with any port, and nothing else does', async (t) => {
  const options = { allowLoopback: true }
  const { lookup } = await startZone(t, {
    'outside.example.com': [outside],
    'laptop.example.com': [['127.0.0.1']],
    'office.example.com': [['10.0.0.1']],
  })
  const refused = async (url: string) => 'refusal' in (await checkUrl(url, { ...options, lookup }))
  for (const host of ['127.0.0.1:3000', '[::1]:3000', 'localhost', 'a.localhost:3000', 'laptop.example.com:3000']) {
    t.equal(await refused(`http://${host}/hook`), false, host)
    t.equal(await refused(`https://${host}/hook`), false, host)
  }
  t.equal(await refused('https://outside.example.com/'), false)
  for (const host of ['outside.example.com', 'office.example.com', '8.8.8.8', '0.0.0.0', '[::]']) {
    t.equal(await refused(`http://${host}:3000/`), true, host)
  }
  const inner = [...innerAddresses.v4, ...innerAddresses.v6.map((it) => `[${it}]`)]
  const passed = inner.filter((host) => refusalOfUrl(`http://${host}:3000/`, options) === undefined)
  t.strictSame(passed, ['127.0.0.1', '127.9.8.7', '[::1]'])
})

t.test('all addresses of a name count, and those it had are the ones to connect to', async (t) => {
  const inner = [...innerAddresses.v4, ...innerAddresses.v6]
  const zone: Record<string, string[][]> = {
    'fine.example.com': [outside],
    'fine-chain.example.com': [['fine-chain-2.example.com']],
    'fine-chain-2.example.com': [['fine.example.com']],
    'empty.example.com': [[]],
  }
  for (const [i, address] of inner.entries()) {
    zone[`only-${i}.example.com`] = [[address]]
    zone[`first-${i}.example.com`] = [[address, ...outside]]
    zone[`last-${i}.example.com`] = [[...outside, address]]
    zone[`chain-${i}.example.com`] = [[`chain-${i}-b.example.net`]]
    zone[`chain-${i}-b.example.net`] = [[`only-${i}.example.com`]]
    zone[`rebinding-${i}.example.com`] = [outside, [address]]
  }
  const { lookup, asked } = await startZone(t, zone)
  const check = (name: string) => checkUrl(`https://${name}/`, { lookup })
  for (const name of ['fine.example.com', 'fine-chain.example.com']) {
    const checked = await check(name)
    t.match(checked, {
      addresses: [
        { address: outside[0], family: 4 },
        { address: outside[1], family: 6 },
      ],
    })
    t.equal(asked(name), 1, 'one question')
  }
  for (const i of inner.keys()) {
    for (const kind of ['only', 'first', 'last', 'chain']) {
      t.match(await check(`${kind}-${i}.example.com`), { refusal: /public/ }, `${kind} ${inner[i]}`)
    }
    t.match(await check(`rebinding-${i}.example.com`), { addresses: outside.map((address) => ({ address })) })
    t.match(await check(`rebinding-${i}.example.com`), { refusal: /public/ }, `then ${inner[i]}`)
  }
  const unknown = await check('unknown.example.com')
  t.same(await check('empty.example.com'), unknown)
  t.same(await check('only-3.example.com'), unknown, 'a name inside is told from none by nothing')
})

t.test('name servers that do not answer end in a refusal, in time', async (t) => {
  const silent = createSocket('udp4').bind(0, '0.0.0.0')
  t.teardown(() => silent.close())
  await once(silent, 'listening')
  const resolver = new Resolver({ timeout: 1000, tries: 2 })
  resolver.setServers(['127.0.0.1', '127.0.0.2', '127.0.0.3'].map((it) => `${it}:${silent.address().port}`))
  const startedAt = performance.now()
  t.match(await checkUrl('https://hooks.example.com/', { lookup: createLookup(resolver) }), { refusal: /public/ })
  const took = performance.now() - startedAt
  t.ok(took < 5000, `${took} ms`)
})
