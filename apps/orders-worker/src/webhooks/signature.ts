import { createHmac, createPrivateKey, sign } from 'node:crypto'

export type Secret = {
  kind: 'ed25519' | 'hmac'
  /** HMAC: 24 to 64 bytes. Ed25519: the seed of 32 bytes, or seed and public key, 64 bytes, as libsodium keeps them. */
  key: Buffer
}

export type Signed = {
  id: string
  /** Unix time in seconds. */
  timestamp: number
  body: string
}

/** What PKCS #8 puts before the seed of an Ed25519 key (RFC 8410). */
const pkcs8Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * The headers of Standard Webhooks: one signature a secret, `v1a` by Ed25519 and `v1` by HMAC-SHA256, so that receivers of
 * either secret of a rotation accept the message. Throws an Error for a key of a wrong length.
 */
export function signatureHeaders({ id, timestamp, body }: Signed, secrets: Secret[]): Record<string, string> {
  const content = `${id}.${timestamp}.${body}`
  return {
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': secrets.map((secret) => signatureOf(content, secret)).join(' '),
  }
}

function signatureOf(content: string, { kind, key }: Secret): string {
  if (kind === 'ed25519') return `v1a,${sign(null, Buffer.from(content), ed25519Key(key)).toString('base64')}`
  if (key.length < 24 || key.length > 64) throw new Error('a secret of HMAC has 24 to 64 bytes')
  return `v1,${createHmac('sha256', key).update(content).digest('base64')}`
}

function ed25519Key(key: Buffer) {
  if (key.length !== 32 && key.length !== 64) throw new Error('a private key of Ed25519 has 32 or 64 bytes')
  return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, key.subarray(0, 32)]), format: 'der', type: 'pkcs8' })
}

/**
 * Reads a secret as its owner sees it: `whsec_` for HMAC, `whsk_` for the private key of Ed25519, then base64. Throws an
 * Error, without the secret in it, for any other text.
 */
export function readSecret(text: string): Secret {
  const [, prefix, base64 = ''] = /^(whsec|whsk)_([A-Za-z0-9+/]+={0,2})$/.exec(text) ?? []
  if (prefix === undefined) throw new Error('a secret starts with whsec_ or whsk_, and base64 follows')
  return { kind: prefix === 'whsk' ? 'ed25519' : 'hmac', key: Buffer.from(base64, 'base64') }
}
