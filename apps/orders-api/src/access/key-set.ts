import type { Clock } from '@orders/database'
import { OrdersError } from '@orders/orders'
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'

const timeoutMs = 2000
const maxBytes = 65_536
const keepMs = 10 * 60_000
const cooldownMs = 30_000

type Metadata = {
  issuer: string
  jwks_uri: string
  authorization_endpoint?: string
  token_endpoint?: string
  end_session_endpoint?: string
  token_endpoint_auth_methods_supported?: string[]
}

/**
 * The keys of an OpenID issuer, found by discovery. They are fetched anew after ten minutes, and for a key id that is
 * not among them, but twice a minute at most: tokens with made-up ids cannot make us ask. While the issuer is away, the
 * keys that are known go on being used.
 */
export function createKeySet(
  issuer: string,
  onFailure: (error: Error) => void,
  { elapsed }: Pick<Clock, 'elapsed'>,
): JWTVerifyGetKey {
  let keys: ReturnType<typeof createLocalJWKSet> | undefined
  let fetchedAt = Number.NEGATIVE_INFINITY
  let triedAt = Number.NEGATIVE_INFINITY
  let fetching: Promise<void> | undefined

  async function fetchKeys(): Promise<void> {
    triedAt = elapsed()
    const { jwks_uri } = await discover(issuer)
    keys = createLocalJWKSet((await fetchJson(jwks_uri)) as JSONWebKeySet)
    fetchedAt = elapsed()
  }

  /** Fetches unless that was tried a moment ago; requests that come meanwhile wait for the same answer. */
  async function refresh(): Promise<void> {
    if (!fetching && elapsed() - triedAt < cooldownMs) return
    fetching ??= fetchKeys().finally(() => {
      fetching = undefined
    })
    await fetching
  }

  return async (header, token) => {
    if (!keys || elapsed() - fetchedAt > keepMs) {
      await refresh().catch(onFailure)
    }
    if (!keys) throw new OrdersError('ISSUER_UNAVAILABLE', `The keys of ${issuer} cannot be fetched at present.`)
    try {
      return await keys(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      await refresh().catch(onFailure)
      return keys(header, token)
    }
  }
}

/** What an issuer says of itself (OpenID Connect Discovery 1.0). Throws if it speaks for another one. */
export async function discover(issuer: string): Promise<Metadata> {
  const found = (await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)) as Metadata
  if (found.issuer !== issuer) throw new Error(`${issuer} calls itself ${String(found.issuer).slice(0, 200)}`)
  return found
}

async function fetchJson(url: string): Promise<unknown> {
  const response = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(timeoutMs) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return JSON.parse((await readBounded(response)).toString())
}

/** The body of an answer, which may be of any length. Throws if it is longer than 64 KiB. */
export async function readBounded(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw new Error(`${response.url} answered more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
