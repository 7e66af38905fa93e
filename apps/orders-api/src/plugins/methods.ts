import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** The methods that an address takes; none if there is nothing. */
    methodsAt(url: string): string[]
  }
}

type Route = { pattern: RegExp; methods: Set<string> }

/**
 * Rejects wrong methods before anything else of a request is read. An address without parameters, such as
 * /orders/export, is never taken for one with a parameter, such as /orders/:id. Throws METHOD_NOT_ALLOWED.
 */
async function methods(app: FastifyInstance) {
  const routes = new Map<string, Route>()
  app.addHook('onRoute', ({ url, method }) => {
    const route = routes.get(url) ?? { pattern: patternOf(url), methods: new Set() }
    for (const name of [method].flat()) route.methods.add(name)
    routes.set(url, route)
  })

  app.decorate('methodsAt', (url) => {
    const path = pathOf(url)
    const exact = routes.get(path)
    const found = exact ? [exact] : [...routes.values()].filter(({ pattern }) => pattern.test(path))
    const names = new Set(found.flatMap((route) => [...route.methods]))
    if (names.has('HEAD')) names.add('GET')
    return [...names].sort()
  })

  const isMistaken = (request: FastifyRequest) => {
    if (request.is404) return !(request.method === 'GET' || request.method === 'HEAD') // those have an answer as a page
    if (!request.routeOptions.url?.includes(':')) return false
    const exact = routes.get(pathOf(request.url))
    return exact !== undefined && !exact.methods.has(request.method)
  }

  app.addHook('onRequest', (request, reply, done) => {
    if (request.method === 'OPTIONS' && request.url === '*') {
      reply.code(200).send()
      return
    }
    const allowed = isMistaken(request) ? app.methodsAt(request.url) : []
    if (allowed.length === 0 || allowed.includes(request.method)) return done()
    reply.header('allow', allowed.join(', '))
    done(new OrdersError('METHOD_NOT_ALLOWED', `${request.method} is not among ${allowed.join(', ')}.`))
  })
}

export default fp(methods, { name: 'methods', dependencies: ['http-hygiene'] })

const pathOf = (url: string) => url.split('?', 1)[0] ?? ''

function patternOf(url: string): RegExp {
  const source = url
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/:[A-Za-z_]+/g, '[^/]+')
    .replace(/\*/g, '.*')
  return new RegExp(`^${source}$`)
}
