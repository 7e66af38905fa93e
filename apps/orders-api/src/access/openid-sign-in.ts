import { createHmac } from 'node:crypto'
import type { Clock } from '@orders/database'
import { OrdersError } from '@orders/orders'
import type { User } from '@orders/schema'
import * as openid from 'openid-client'
import { discover, readBounded } from './key-set.ts'
import { displayName, isText, type OpenIdIssuer, toleranceSeconds, userIdOf } from './openid-tokens.ts'

const timeoutSeconds = 2
const keepMs = 10 * 60_000
const centuries = 1e10 // in seconds

/** An issuer that knows this service as a client. */
export type OpenIdClient = OpenIdIssuer & { client_id: string }

/** A sign-in that an issuer or its answer has stopped. `reason` names why, for the audit log. */
export class SignInError extends OrdersError {
  readonly reason: string

  constructor(reason: string) {
    super('SIGN_IN_FAILED', 'The sign-in was not completed: start it again.')
    this.reason = reason
  }
}

/** What goes to the issuer is made of the browser's secret, so nothing of it needs to be kept, or can be mixed up. */
const derive = (secret: string, what: 'state' | 'nonce' | 'verifier') =>
  createHmac('sha256', secret).update(what).digest('base64url')

/** Whether the answer of an issuer belongs to the sign-in that this browser has begun. */
export const isAnswerTo = (secret: string, state: unknown): boolean => state === derive(secret, 'state')

export type OpenIdSignIn = ReturnType<typeof createOpenIdSignIn>

/**
 * Signs users in at one OpenID issuer: authorization code, PKCE S256, state and nonce. All throw ISSUER_UNAVAILABLE if
 * the issuer does not answer within 2 s.
 */
export function createOpenIdSignIn(client: OpenIdClient, clock: Pick<Clock, 'now'>) {
  const configuration = keeping(keepMs, () => configure(client))

  /** Where to send the browser that has this secret. */
  async function begin(secret: string, redirectUri: string): Promise<string> {
    const url = openid.buildAuthorizationUrl(await configuration(), {
      redirect_uri: redirectUri,
      scope: client.scope,
      state: derive(secret, 'state'),
      nonce: derive(secret, 'nonce'),
      code_challenge: await openid.calculatePKCECodeChallenge(derive(secret, 'verifier')),
      code_challenge_method: 'S256',
    })
    return url.href
  }

  /** Whom the issuer vouches for in the answer that the browser has brought. Throws a SignInError. */
  async function complete(secret: string, answer: URL): Promise<User> {
    const configured = await configuration()
    try {
      const tokens = await openid.authorizationCodeGrant(configured, answer, {
        pkceCodeVerifier: derive(secret, 'verifier'),
        expectedState: derive(secret, 'state'),
        expectedNonce: derive(secret, 'nonce'),
        idTokenExpected: true,
      })
      const claims = tokens.claims() as openid.IDToken
      if (!isText(claims.sub)) throw new SignInError('subject')
      if (!isCurrent(claims, clock.now() / 1000)) throw new SignInError('expired')
      return { id: userIdOf(client.issuer, claims.sub), name: displayName(claims) }
    } catch (error) {
      throw refusalOf(error)
    }
  }

  /** Where the user ends the session at the issuer too, if it has such a place. */
  async function endUrl(returnTo: string): Promise<string | undefined> {
    const configured = await configuration()
    if (!configured.serverMetadata().end_session_endpoint) return undefined
    return openid.buildEndSessionUrl(configured, { post_logout_redirect_uri: returnTo }).href
  }

  return { issuer: client.issuer, name: client.name ?? new URL(client.issuer).host, begin, complete, endUrl }
}

/**
 * The sign-ins that the settings offer, by issuer. Where tokens are required, the address that issuers send browsers
 * back to is set, and not taken from a request. Throws an Error with one sentence that says what to do.
 */
export function createOpenIdSignIns(
  issuers: OpenIdIssuer[],
  { AUTH_MODE, PUBLIC_URL }: { AUTH_MODE: string; PUBLIC_URL?: string | undefined },
  clock: Pick<Clock, 'now'>,
): ReadonlyMap<string, OpenIdSignIn> {
  const clients = issuers.filter((it): it is OpenIdClient => it.client_id !== undefined)
  if (clients.length > 0 && AUTH_MODE === 'required' && PUBLIC_URL === undefined) {
    throw new Error(
      'OPENID_ISSUERS has a client_id and PUBLIC_URL is not set: set it to the address that browsers use, such as https://orders.example.com.',
    )
  }
  return new Map(clients.map((client) => [client.issuer, createOpenIdSignIn(client, clock)]))
}

async function configure({ issuer, client_id, client_secret }: OpenIdClient): Promise<openid.Configuration> {
  const metadata = await discover(issuer).catch(() => unavailable(issuer))
  const methods = metadata.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
  const secretly = methods.includes('client_secret_basic') ? openid.ClientSecretBasic : openid.ClientSecretPost
  const authentication = client_secret === undefined ? openid.None() : secretly(client_secret)
  // openid-client compares the times of an ID token with the clock of the process: isCurrent does it instead.
  const configured = new openid.Configuration(
    metadata,
    client_id,
    { [openid.clockTolerance]: centuries },
    authentication,
  )
  configured.timeout = timeoutSeconds
  configured[openid.customFetch] = async (url, { body, ...options }) => {
    const response = await fetch(url, { ...options, body: body ?? null } as RequestInit)
      .then(async (it) => new Response(new Uint8Array(await readBounded(it)), it))
      .catch(() => unavailable(issuer))
    return response.status >= 500 ? unavailable(issuer) : response
  }
  openid.enableNonRepudiationChecks(configured) // the ID token's signature is checked, whoever delivered it
  if (issuer.startsWith('http:')) openid.allowInsecureRequests(configured) // on this machine only, see readIssuers
  return configured
}

/** Whether an ID token is valid at an instant of the database's clock, in seconds since 1970. */
const isCurrent = ({ exp, nbf }: openid.IDToken, now: number): boolean =>
  exp > now - toleranceSeconds && (nbf === undefined || (nbf as number) <= now + toleranceSeconds)

function unavailable(issuer: string): never {
  throw new OrdersError('ISSUER_UNAVAILABLE', `${new URL(issuer).host} does not answer at present: try again soon.`)
}

function refusalOf(error: unknown): Error {
  const { cause, code, error: told } = error as { cause?: unknown; code?: unknown; error?: unknown }
  if (error instanceof OrdersError) return error
  if (cause instanceof OrdersError) return cause
  // An issuer's own words may be anybody's: only a plain code of it is written down.
  const reason = [told, code].find((it) => typeof it === 'string' && /^\w{1,60}$/.test(it))
  return new SignInError((reason as string | undefined) ?? (error as Error).name)
}

/** The result of `work` for `ms`; those who ask meanwhile share it, and a failure is not kept. */
function keeping<T>(ms: number, work: () => Promise<T>): () => Promise<T> {
  let kept: { result: Promise<T>; until: number } | undefined
  return () => {
    if (kept && performance.now() < kept.until) return kept.result
    const entry = { result: work(), until: performance.now() + ms }
    entry.result.catch(() => {
      if (kept === entry) kept = undefined
    })
    kept = entry
    return entry.result
  }
}
