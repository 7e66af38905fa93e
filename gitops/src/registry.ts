/** Where the API of a registry is, if not under the name that images carry. */
const hosts: Record<string, string> = { 'docker.io': 'registry-1.docker.io' }

const timeoutMs = 10_000

/**
 * Requests `path` below `/v2/` from a registry, by the OCI distribution specification. If the registry asks for a token,
 * gets one for anonymous use, or for `credentials` (`user:password`). Throws what `fetch` throws.
 */
export async function fromRegistry(
  registry: string,
  path: string,
  { method = 'GET', accept = 'application/json', credentials = '' } = {},
): Promise<Response> {
  const url = `${originOf(registry)}/v2/${path}`
  const request = (authorization?: string) =>
    fetch(url, {
      method,
      headers: { accept, ...(authorization ? { authorization } : {}) },
      signal: AbortSignal.timeout(timeoutMs),
    })
  const answer = await request()
  if (answer.status !== 401) return answer
  const token = await tokenFor(answer.headers.get('www-authenticate') ?? '', credentials)
  return token === undefined ? answer : request(token)
}

// A registry on this machine, as in tests and on kind, has no certificate.
const originOf = (registry: string) =>
  `${/^(localhost|127\.0\.0\.1)(:\d+)?$/.test(registry) ? 'http' : 'https'}://${hosts[registry] ?? registry}`

const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString('base64')}`

/** The authorization that a challenge asks for; undefined if there is none to give. */
async function tokenFor(challenge: string, credentials: string): Promise<string | undefined> {
  if (/^basic\b/i.test(challenge)) return credentials === '' ? undefined : basic(credentials)
  const parameters = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]),
  )
  const realm = parameters.get('realm')
  if (!/^bearer\b/i.test(challenge) || realm === undefined) return undefined
  const url = new URL(realm)
  for (const key of ['service', 'scope']) {
    const value = parameters.get(key)
    if (value !== undefined) url.searchParams.set(key, value)
  }
  const headers = credentials === '' ? undefined : { authorization: basic(credentials) }
  const answer = await fetch(url, { ...(headers ? { headers } : {}), signal: AbortSignal.timeout(timeoutMs) })
  if (!answer.ok) return undefined
  const { token, access_token } = (await answer.json()) as { token?: string; access_token?: string }
  return `Bearer ${token ?? access_token ?? ''}`
}
