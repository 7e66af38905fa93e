import 'reflect-metadata'
import { generateKeyPairSync, webcrypto } from 'node:crypto'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

/** A certificate to issue: the subject, and the names and addresses that it is valid for. */
export type Subject = { commonName: string; organisation?: string; dnsNames?: string[]; addresses?: string[] }

/** PEM texts. */
export type Pair = { certificate: string; key: string }

export type Authority = { certificate: string; key: string; issue: (subject: Subject) => Promise<Pair> }

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A certificate authority whose certificates are valid for a day, for servers and for clients. */
export async function createAuthority(name: string): Promise<Authority> {
  const keys = await newKeys()
  const root = await X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: `CN=${name}`,
    ...validity(),
    signingKey: keys.privateKey,
    publicKey: keys.publicKey,
    signingAlgorithm: algorithm,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  })
  const issue = async ({ commonName, organisation, dnsNames = [], addresses = [] }: Subject): Promise<Pair> => {
    const own = await newKeys()
    const names = [
      ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
      ...addresses.map((value) => ({ type: 'ip' as const, value })),
    ]
    const certificate = await X509CertificateGenerator.create({
      subject: [{ CN: [commonName] }, ...(organisation === undefined ? [] : [{ O: [organisation] }])],
      issuer: root.subject,
      ...validity(),
      signingKey: keys.privateKey,
      publicKey: own.publicKey,
      signingAlgorithm: algorithm,
      extensions: [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
      ],
    })
    return { certificate: certificate.toString('pem'), key: await privateKey(own) }
  }
  return { certificate: root.toString('pem'), key: await privateKey(keys), issue }
}

/** The two PEM texts of a key pair that signs service account tokens. */
export function createSigningKey(): { publicKey: string; privateKey: string } {
  return generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
}

const newKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])

async function privateKey(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const text = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return `-----BEGIN PRIVATE KEY-----\n${text.replace(/.{64}/g, '$&\n')}\n-----END PRIVATE KEY-----\n`
}

function validity() {
  const now = Date.now()
  return { notBefore: new Date(now - 60_000), notAfter: new Date(now + 86_400_000) }
}
