import { createHash } from 'node:crypto'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import { type Figures, type Limit, readFigures } from '../rate-limits/figures.ts'
import { networkOf } from '../rate-limits/network.ts'
import { createWindows, type Key, type Met } from '../rate-limits/windows.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** false: the route is never limited; guests: it makes a guest. */
    rateLimit?: false | 'guests'
  }
  interface FastifyInstance {
    /** null: nothing is limited. */
    rateLimits: RateLimits | null
  }
}

export type RateLimits = {
  /** Counts a request without a valid token on its address. Resolves to the refusal, if that has no room left. */
  countUnauthenticated(request: FastifyRequest, reply: FastifyReply): Promise<OrdersError | undefined>
  /** Whether the token was refused so often within a minute that it need not be looked up again. */
  isRefused(token: string): boolean
  /** Whether Redis counts for all processes; undefined if there is none. */
  isShared(): boolean | undefined
}

type Options = {
  /** See RATE_LIMITS. */
  setting: string
  redisUrl: string | undefined
  /** Milliseconds, of a clock that never goes back. */
  now: (() => number) | undefined
}

const changes = new Set(['POST', 'PUT', 'PATCH', 'DELETE'])

/**
 * Limits how many requests a minute are taken: of callers without a valid token by address, changes by user and by
 * organisation. Redis counts for all processes; without it, or while it does not answer, each counts by itself.
 */
async function rateLimits(app: FastifyInstance, { setting, redisUrl, now }: Options) {
  const figures = readFigures(setting)
  if (!figures) {
    app.decorate('rateLimits', null)
    return
  }
  const local = createWindows(figures, now)
  const refusedTokens = createWindows(figures, now)
  const redis = redisUrl === undefined ? undefined : await useRedis(app, redisUrl, figures)

  const spend = (keys: Key[]): Met | undefined | Promise<Met | undefined> =>
    redis?.isUp() ? redis.spend(keys).catch(() => local.spend(keys)) : local.spend(keys)

  const refusalOf = (met: Met | undefined, reply: FastifyReply): OrdersError | undefined => {
    if (!met) return undefined
    const seconds = Math.max(1, Math.ceil(met.waitMs / 1000))
    app.meters.onRateLimited(met.limit)
    reply.header('retry-after', seconds)
    return new OrdersError('RATE_LIMITED', `${said[met.limit](figures[met.limit])} Wait ${seconds} s.`)
  }

  const limit: onRequestHookHandler = (request, reply, done) => {
    const keys = keysOf(request)
    if (keys.length === 0) return done()
    const met = spend(keys)
    if (met instanceof Promise) met.then((found) => done(refusalOf(found, reply)), done)
    else done(refusalOf(met, reply))
  }
  // Of the route, since only those run after the one that finds out who calls.
  app.addHook('onRoute', (route) => {
    route.onRequest = [...[route.onRequest ?? []].flat(), limit]
  })

  app.decorate('rateLimits', {
    async countUnauthenticated(request, reply) {
      const { authorization } = request.headers
      if (authorization) refusedTokens.spend([tokenKey(authorization.replace(/^Bearer +/i, ''))])
      return refusalOf(await spend([addressKey(request)]), reply)
    },
    isRefused: (token) => refusedTokens.isSpent(tokenKey(token)),
    isShared: () => redis?.isUp(),
  })
}

export default fp(rateLimits, { name: 'rate-limits' })

const said: Record<Limit, (figure: number) => string> = {
  anonymous: (figure) => `More than ${figure} requests a minute without a valid token came from this address.`,
  guests: (figure) => `More than ${figure} guests a minute signed in from this address.`,
  'all-guests': (figure) => `More than ${figure} guests signed in within a minute.`,
  writes: (figure) => `You sent more than ${figure} changes within a minute.`,
  'org-writes': (figure) => `The organisation sent more than ${figure} changes within a minute.`,
}

function keysOf(request: FastifyRequest): Key[] {
  const { rateLimit } = request.routeOptions.config
  if (rateLimit === false) return []
  const { caller } = request
  if (rateLimit === 'guests')
    return [
      { ...addressKey(request), limit: 'guests' },
      { limit: 'all-guests', of: '' },
    ]
  if (!caller?.user) return [addressKey(request)]
  if (!changes.has(request.method)) return []
  return [
    { limit: 'writes', of: caller.user.id },
    { limit: 'org-writes', of: caller.orgId },
  ]
}

const addressKey = ({ ip }: FastifyRequest): Key => ({ limit: 'anonymous', of: networkOf(ip) })

/** Tokens are long, and secret. */
const tokenKey = (token: string): Key => ({
  limit: 'anonymous',
  of: createHash('sha256').update(token).digest('base64url'),
})

async function useRedis(app: FastifyInstance, url: string, figures: Figures) {
  // A large library, which most processes do without.
  const { createRedisWindows } = await import('../rate-limits/redis-windows.ts')
  const redis = createRedisWindows(url, figures, (error) => {
    if (error) app.log.warn({ err: error }, 'Redis does not answer: rate limits are counted by each process')
    else app.log.info('Redis counts the rate limits of all processes')
  })
  // Not at each of the tries to start, while the database is not there.
  app.addHook('onReady', async () => redis.open())
  app.addHook('onClose', () => redis.close())
  return redis
}
