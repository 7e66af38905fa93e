import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import type { WebhookSignature } from '@orders/schema'

/** PKCS #8 of an Ed25519 key, up to its 32 bytes (RFC 8410). */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex')

/** A new key of 32 bytes: the private key of RFC 8032, or a secret to share. */
export function newWebhookKey(signature: WebhookSignature): Buffer {
  if (signature === 'hmac') return randomBytes(32)
  const { privateKey } = generateKeyPairSync('ed25519')
  return privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(pkcs8.length)
}

/** "whpk_" and the public key in base64, as Standard Webhooks writes it. */
export function publicKeyOf(key: Buffer): string {
  const privateKey = createPrivateKey({ key: Buffer.concat([pkcs8, key]), type: 'pkcs8', format: 'der' })
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  return `whpk_${spki.subarray(-32).toString('base64')}`
}

/** "whsec_" and the shared secret in base64. */
export const secretOf = (key: Buffer): string => `whsec_${key.toString('base64')}`
