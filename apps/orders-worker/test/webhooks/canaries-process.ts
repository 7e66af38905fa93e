// Sends to every hostile URL and name with canaries listening there, and writes what they heard as JSON: with the guard at
// registration and at delivery, then without it. Arguments: the folder of the certificate, and a port that is free.
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { checkUrl, createLookup, type Destination } from '@orders/runtime'
import { hostileUrls, innerAddresses, startDns } from '@orders/runtime/testing'
import { post } from '../../src/webhooks/post.ts'
import { createSender } from '../../src/webhooks/sender.ts'
import { outside, startCanaries } from './canaries.ts'

const [folder = '', freePort] = process.argv.slice(2)
const ports = [443, 80, 8080, Number(freePort)]
const key = readFileSync(join(folder, 'key.pem'), 'utf8')
const cert = readFileSync(join(folder, 'cert.pem'), 'utf8')
const inner = [...innerAddresses.v4, ...innerAddresses.v6]
const kinds = ['only', 'first', 'last', 'chain', 'rebinding']

const zone: Record<string, string[][]> = { 'hooks.example.com': [outside] }
for (const [i, address] of inner.entries()) {
  zone[`only-${i}.example.com`] = [[address]]
  zone[`first-${i}.example.com`] = [[address, ...outside]]
  zone[`last-${i}.example.com`] = [[...outside, address]]
  zone[`chain-${i}.example.com`] = [[`only-${i}.example.com`]]
  // Public when it is registered, and inside from then on.
  zone[`rebinding-${i}.example.com`] = [outside, [address]]
}
const dns = await startDns(zone)
const lookup = createLookup(dns.resolver)
const names = kinds.flatMap((kind) => inner.map((_, i) => `https://${kind}-${i}.example.com/hook`))
const urls = [...hostileUrls(ports), ...names]

const canaries = await startCanaries(ports)
const sender = createSender({ lookup, ca: cert })
const message = { secrets: [{ kind: 'hmac', key: randomBytes(32) } as const], id: 'msg_1', timestamp: 1, body: '{}' }

const allowedAtRegistration = await filter(urls, async (url) => !('refusal' in (await checkUrl(url, { lookup }))))
const sentTo = await filter(urls, async (url) => {
  const { status, error } = await sender.sendWebhook({ ...message, url })
  return status !== null || !error?.match(/^The (URL|host) must /)
})
const guarded = heard()

const received = await receive()
await filter(urls, unguarded)
const withoutGuard = heard()
// A plain fetch honours the proxy that the environment names, which is a canary too.
await fetch('http://hooks.example.com/').catch(() => {})
console.log(
  JSON.stringify({
    urls: urls.length,
    canaries: canaries.addresses.size,
    allowedAtRegistration,
    sentTo,
    guarded,
    received,
    unguarded: withoutGuard,
    byProxy: heard().bytes - withoutGuard.bytes,
  }),
)
process.exit(0)

function heard() {
  const { connections, bytes, at } = canaries.heard
  return { connections, bytes, at: [...at].sort() }
}

/** What a real receiver at a public address gets, where there can be one: the guard does not simply stop everything. */
async function receive() {
  const server = createServer({ key, cert }, (_request, reply) => reply.end('thank you'))
  const listening = Promise.withResolvers<boolean>()
  server.once('error', () => listening.resolve(false))
  server.listen(443, outside[0], () => listening.resolve(true))
  if (!(await listening.promise)) return undefined
  const before = heard().bytes
  const send = (url: string) => sender.sendWebhook({ ...message, url })
  const byName = await send('https://hooks.example.com/hook')
  const byAddress = await send(`https://${outside[0]}/hook`)
  const untrusted = await createSender({ lookup }).sendWebhook({ ...message, url: 'https://hooks.example.com/hook' })
  return { byName, byAddress, untrusted, heard: heard().bytes - before }
}

/** Posts with no check at all, as far as the parser takes the URL, and only to canaries. */
async function unguarded(text: string): Promise<boolean> {
  const url = URL.parse(text)
  if (!url || !/^https?:$/.test(url.protocol)) return false
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const addresses = isIP(host) > 0 ? [host] : host === 'localhost' ? ['127.0.0.1'] : await lookup(host)
  const reached = addresses.filter((it) => canaries.addresses.has(it))
  if (reached.length === 0) return false
  const destination: Destination = { url, addresses: reached.map((it) => ({ address: it, family: isIP(it) as 4 | 6 })) }
  await post(destination, { headers: {}, body: '{}', signal: AbortSignal.timeout(2000) }).catch(() => {})
  return true
}

/** The URLs for which it is true; twenty at a time. */
async function filter(all: string[], isTrue: (url: string) => Promise<boolean>): Promise<string[]> {
  const found: string[] = []
  const rest = all.values()
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (const url of rest) if (await isTrue(url)) found.push(url)
    }),
  )
  return found
}
