import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { hasOwnOrigin, hostnameOf, isLoopback } from '../access/origin.ts'

type Options = {
  /** Names under which the service is reached beside those of the machine itself. */
  hosts: readonly string[]
}

/**
 * Protects a service that asks for no token from the pages of other sites, which a browser on the same machine may show:
 * their requests are rejected, and so are names that DNS points to this machine (DNS rebinding). Programs such as curl
 * send none of these headers. Throws CROSS_SITE_REQUEST, HOST_NOT_ALLOWED.
 */
async function openMode(app: FastifyInstance, { hosts }: Options) {
  const allowed = new Set(hosts.map((host) => hostnameOf(host)))
  let lastAccepted: string | undefined // almost always that of the next request too, and a URL takes 2 us to parse

  // HTTP/1.0 has no Host, and no browser sends it.
  function isAllowed(host = 'localhost'): boolean {
    if (host === lastAccepted) return true
    const hostname = hostnameOf(host)
    if (hostname === undefined || !(isLoopback(hostname) || allowed.has(hostname))) return false
    lastAccepted = host
    return true
  }

  app.addHook('onRequest', (request, _reply, done) => {
    if (!isAllowed(request.headers.host)) {
      return done(new OrdersError('HOST_NOT_ALLOWED', 'The Host header does not name this machine.'))
    }
    if (isForeign(request)) {
      return done(new OrdersError('CROSS_SITE_REQUEST', 'The request was sent by a page of another site.'))
    }
    done()
  })
}

export default fp(openMode, { name: 'open-mode', dependencies: ['http-hygiene'] })

function isForeign(request: FastifyRequest): boolean {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (origin !== undefined && !hasOwnOrigin(request)) return true
  return site === 'cross-site' && !isLink(request)
}

/** A link or a redirect that opens a page in its own tab: the other site sees nothing of it. Sign-ins return this way. */
const isLink = ({ method, headers }: FastifyRequest) =>
  (method === 'GET' || method === 'HEAD') &&
  headers['sec-fetch-mode'] === 'navigate' &&
  headers['sec-fetch-dest'] === 'document'
