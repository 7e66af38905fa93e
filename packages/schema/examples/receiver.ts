// A receiver of webhooks. WEBHOOK_KEYS holds what the service told for this endpoint, whsec_... (HMAC) or whpk_... (the
// public key of Ed25519); two of them, with a space between, while the secret is rotated.
import { createPublicKey, verify } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'

const toleranceSeconds = 300
const keys = (process.env.WEBHOOK_KEYS ?? '').split(' ')
const seen = new Set<string>()

const server = createServer(async (request, reply) => {
  // As it came: JSON that is parsed and written again may have another signature.
  const body = Buffer.concat(await request.toArray()).toString()
  if (!keys.some((key) => isSigned(key, body, request.headers))) return reply.writeHead(401).end()
  // A message that is not answered with 2xx within 10 s is sent again, with the same webhook-id, which no other message of
  // any organisation has. A real receiver stores the id in the transaction of its work.
  const id = String(request.headers['webhook-id'])
  const { type, subject } = JSON.parse(body)
  if (!seen.has(id)) console.log(id, type, subject)
  seen.add(id)
  return reply.writeHead(204).end()
})

function isSigned(key: string, body: string, headers: IncomingHttpHeaders): boolean {
  if (key.startsWith('whpk_')) return isSignedByEd25519(key, body, headers)
  try {
    new Webhook(key).verify(body, headers as Record<string, string>, { jsonParse: false })
    return true
  } catch {
    return false
  }
}

/** The library knows `v1` only; this is `v1a`. */
function isSignedByEd25519(key: string, body: string, headers: IncomingHttpHeaders): boolean {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) <= toleranceSeconds)) return false
  const x = Buffer.from(key.slice('whpk_'.length), 'base64').toString('base64url')
  const publicKey = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'Ed25519', x } })
  const content = Buffer.from(`${id}.${timestamp}.${body}`)
  return String(signatures)
    .split(' ')
    .filter((it) => it.startsWith('v1a,'))
    .some((it) => verify(null, content, publicKey, Buffer.from(it.slice('v1a,'.length), 'base64')))
}

server.listen(Number(process.argv[2] ?? 3000), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
})
