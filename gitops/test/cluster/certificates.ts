import 'reflect-metadata'
import { generateKeyPairSync, webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509'

/** PEM texts, named as cert-manager names the keys of its Secrets. */
export type Issued = { 'ca.crt': string; 'tls.crt': string; 'tls.key': string }

/** What of a cert-manager Certificate matters here. */
export type CertificateSpec = { commonName: string; dnsNames?: string[]; usages: string[] }

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const usages: Record<string, string> = {
  'server auth': ExtendedKeyUsage.serverAuth,
  'client auth': ExtendedKeyUsage.clientAuth,
}

/** An authority that issues what a Certificate asks for, as cert-manager would; valid for a day. */
export async function createAuthority() {
  const keys = await newKeys()
  const root = await X509CertificateGenerator.create({
    subject: 'CN=authority',
    issuer: 'CN=authority',
    ...validity(),
    signingKey: keys.privateKey,
    publicKey: keys.publicKey,
    signingAlgorithm: algorithm,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  })
  return async (spec: CertificateSpec): Promise<Issued> => {
    const own = await newKeys()
    const names = (spec.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value }))
    const certificate: X509Certificate = await X509CertificateGenerator.create({
      subject: `CN=${spec.commonName}`,
      issuer: root.subject,
      ...validity(),
      signingKey: keys.privateKey,
      publicKey: own.publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new ExtendedKeyUsageExtension(spec.usages.flatMap((usage) => usages[usage] ?? [])),
        ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
      ],
    })
    const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey)).toString('base64')
    return {
      'ca.crt': root.toString('pem'),
      'tls.crt': certificate.toString('pem'),
      'tls.key': `-----BEGIN PRIVATE KEY-----\n${key.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`,
    }
  }
}

/** A private key in PEM, as cert-manager makes it. Throws for what it is not asked for here. */
export function newPrivateKey({ algorithm, encoding }: { algorithm: string; encoding: string }): string {
  if (algorithm !== 'Ed25519' || encoding !== 'PKCS8') throw new Error(`No key here is ${algorithm} in ${encoding}`)
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

function newKeys() {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
}

function validity() {
  const now = Date.now()
  return { notBefore: new Date(now - 60_000), notAfter: new Date(now + 86_400_000) }
}
