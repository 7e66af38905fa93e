import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import Provider from 'oidc-provider'

type Test = { teardown(fn: () => Promise<void> | void): void }

/** As which client the pages of `origin` sign users in. */
export const webClient = { client_id: 'pages', client_secret: 'secret-of-pages' }

const pagesOf = (origin: string) => ({
  ...webClient,
  grant_types: ['authorization_code'],
  response_types: ['code' as const],
  redirect_uris: [`${origin}/sign-in/callback`],
  post_logout_redirect_uris: [`${origin}/sign-in`],
})

/**
 * An OpenID issuer on loopback, whose requests are counted and which can be taken away. Whoever signs in there has the
 * name that they type; with `pages`, the pages of that origin are a client.
 */
export async function startIssuer(
  t: Test,
  {
    audience = 'orders-api',
    pages = '',
    name = 'localhost',
    kid = 'first',
    /** Private keys that it publishes besides its own, which signs. */
    otherKeys = [] as JWK[],
  } = {},
) {
  const server: Server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const url = `http://${name}:${port}`
  const key: JWK = {
    ...(await exportJWK((await generateKeyPair('RS256', { extractable: true })).privateKey)),
    kid,
    use: 'sig',
    alg: 'RS256',
  }
  const provider = new Provider(url, {
    jwks: { keys: [key, ...otherKeys] as never[] },
    clients: [
      ...['one', 'two'].map((client_id) => ({
        client_id,
        client_secret: `secret-of-${client_id}`,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      })),
      ...(pages ? [pagesOf(pages)] : []),
    ],
    claims: { openid: ['sub'], profile: ['name'] },
    conformIdTokenClaims: false,
    findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, name: `${sub} of the issuer` }) }),
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        getResourceServerInfo: (_context, resource) => ({
          audience: resource,
          scope: 'orders:read orders:write orgs:write',
          accessTokenFormat: 'jwt' as const,
          accessTokenTTL: 3600,
          jwt: { sign: { alg: 'RS256' as const } },
        }),
      },
    },
    scopes: ['orders:read', 'orders:write', 'orgs:write'],
  })
  const asked = new Map<string, number>()
  let away = false
  let change: ((answer: TokenAnswer) => Promise<object>) | undefined
  const answer = provider.callback()
  server.on('request', (request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    asked.set(path, (asked.get(path) ?? 0) + 1)
    if (change && path === '/token') changeOnTheWay(response, change)
    if (away) request.socket.destroy()
    else answer(request, response)
  })
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })

  async function token(client: 'one' | 'two', scope: string, resource = audience): Promise<string> {
    const response = await fetch(`${url}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa(`${client}:secret-of-${client}`)}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', scope, resource }),
    })
    const body = (await response.json()) as { access_token?: string }
    if (!body.access_token) throw new Error(JSON.stringify(body))
    return body.access_token
  }

  return {
    url,
    key,
    asked,
    token,
    goAway: (it: boolean) => {
      away = it
    },
    /** Lets the answers of the token endpoint be others than the provider makes. */
    changeTokens: (it: typeof change) => {
      change = it
    },
  }
}

type TokenAnswer = { id_token: string; access_token: string }

function changeOnTheWay(response: ServerResponse, change: (answer: TokenAnswer) => Promise<object>): void {
  const end = response.end.bind(response)
  response.end = ((body: string) => {
    void change(JSON.parse(body)).then((changed) => {
      const text = JSON.stringify(changed)
      response.setHeader('content-length', Buffer.byteLength(text))
      end(text)
    })
    return response
  }) as typeof response.end
}
