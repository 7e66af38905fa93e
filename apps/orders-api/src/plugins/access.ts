import { listen } from '@orders/database'
import { createPeople, OrdersError, type People, type Quotas } from '@orders/orders'
import type {
  FastifyContextConfig,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
  RouteOptions,
} from 'fastify'
import fp from 'fastify-plugin'
import { type Caller, createCallers, OrgNotFound, openCaller } from '../access/callers.ts'
import { createGuestTokens, type GuestTokens } from '../access/guest-tokens.ts'
import { createOpenIdVerifier, type OpenIdIssuer, readIssuers } from '../access/openid-tokens.ts'
import type { AccessRule } from '../access/rules.ts'
import { createSessionReader } from '../access/session-reader.ts'
import { createTokenReader, notTaken, type Verifier } from '../access/token.ts'

declare module 'fastify' {
  interface FastifyInstance {
    people: People
    /** null: guests are not taken. */
    guestTokens: GuestTokens | null
    openIdIssuers: OpenIdIssuer[]
    /** Who has this session. Throws UNAUTHENTICATED if it has ended. */
    callerOf(sid: string, maxAgeMs?: number): Caller | Promise<Caller>
    /** Looks the user up anew, whose rights or session have changed. */
    forgetCaller(userId: string): void
    /** Calls back when the rights or the sessions of a user, or of any user, may have changed. */
    onAccessChange(listener: (userId?: string) => void): void
  }
  interface FastifyRequest {
    caller: Caller
    /** The session of the browser, where sessions are taken. */
    sid: string | null
    /** Organisation that the request acts in. */
    orgId: string
    /** Who acts; keys of two callers never meet. */
    principal: string
    /** Rejects once the caller may no longer do what was asked; there for routes that declare `rechecks`. */
    recheck?: () => Promise<void>
  }
}

type Options = {
  mode: 'open' | 'required'
  databaseUrl: string
  guestKeys: string | undefined
  openIdIssuers: string | undefined
  /** Stands in for those of the database. */
  people?: People | undefined
  quotas: Quotas
}

/**
 * Who calls: each route declares in its schema who may (see access/rules.ts), and only those reach its handler. Throws
 * UNAUTHENTICATED, ORG_NOT_FOUND, ROLE_REQUIRED, SCOPE_REQUIRED.
 */
async function access(app: FastifyInstance, options: Options) {
  const { mode, databaseUrl, guestKeys, openIdIssuers, people, quotas } = options
  const guests =
    guestKeys === undefined
      ? null
      : await createGuestTokens(guestKeys, { development: mode === 'open', now: app.clock.now })
  app.decorate('people', people ?? (await createPeople(app.database, quotas)))
  app.decorate('guestTokens', guests)
  app.decorateRequest('caller')
  app.decorateRequest('recheck')
  app.decorateRequest('sid', null)
  app.decorateRequest('orgId', openCaller.orgId)
  app.decorateRequest('principal', openCaller.principal)

  const verifiers: Verifier[] = guests ? [guests.verifier] : []
  const onFailure = (error: Error) => app.log.warn({ err: error }, 'the keys of an issuer could not be fetched')
  app.decorate('openIdIssuers', readIssuers(openIdIssuers ?? '[]'))
  for (const issuer of app.openIdIssuers) verifiers.push(createOpenIdVerifier(issuer, onFailure, app.clock))
  const callers = createCallers(createTokenReader(verifiers), app.people, app.clock)
  const sessions = createCallers(createSessionReader(app.people, app.clock), app.people, app.clock)
  const listeners: ((userId?: string) => void)[] = []
  const forget = (userId?: string) => {
    callers.forget(userId)
    sessions.forget(userId)
    for (const listener of listeners) listener(userId)
  }
  app.decorate('onAccessChange', (listener) => listeners.push(listener))
  app.decorate(
    'callerOf',
    (sid: string, maxAgeMs?: number) => sessions.recall(sid, undefined, maxAgeMs) ?? sessions.find(sid, undefined),
  )
  app.decorate('forgetCaller', forget)
  if (!people) {
    const news = listen(databaseUrl, 'access', forget, () => forget())
    app.addHook('onClose', () => news.close())
  }

  /** Sets who calls; by itself if that is known, else with a look into the database. */
  function identify(request: FastifyRequest, orgId: string | undefined, maxAgeMs?: number): Caller | Promise<Caller> {
    const { authorization } = request.headers
    if (authorization === undefined) {
      if (request.sid !== null) return app.callerOf(request.sid, maxAgeMs)
      if (mode === 'required') throw new OrdersError('UNAUTHENTICATED', 'The request has no token.')
      if (orgId !== undefined && orgId !== openCaller.orgId) throw new OrgNotFound(orgId)
      return openCaller
    }
    const token = /^Bearer +([^ ]+)$/i.exec(authorization)?.[1]
    if (!token) throw notTaken('Authorization is Bearer and one token')
    const known = callers.recall(token, orgId, maxAgeMs)
    if (known) return known
    if (app.rateLimits?.isRefused(token)) throw notTaken('it was refused many times within this minute')
    return callers.find(token, orgId)
  }

  function guard(rule: AccessRule, { orgParam, rechecks }: FastifyContextConfig): onRequestHookHandler {
    const admit = (request: FastifyRequest, caller: Caller) => {
      request.caller = caller // also of who is refused
      request.orgId = caller.orgId
      request.principal = caller.principal
      if (isMisplaced(request, caller)) throw new OrgNotFound(caller.homeOrgId, caller.user?.id)
      assertMay(rule, caller)
    }
    const organisationOf = ({ params, headers }: FastifyRequest) =>
      orgParam ? (params as Record<string, string>)[orgParam] : (headers['x-org-id'] as string | undefined)
    /** A user who has left home names the organisation: a repeated request must not act in another one. Pages show theirs. */
    const isMisplaced = (request: FastifyRequest, { orgId, homeOrgId, role }: Caller) =>
      request.headers.authorization !== undefined &&
      organisationOf(request) === undefined &&
      role !== null &&
      orgId !== homeOrgId &&
      !rule['x-roles'].includes('user')
    return (request, reply, done) => {
      const refuse = async (error: unknown) => {
        const isUnknown = error instanceof OrdersError && error.code === 'UNAUTHENTICATED'
        const limited = isUnknown ? await app.rateLimits?.countUnauthenticated(request, reply) : undefined
        if (error instanceof OrdersError && !limited) {
          const who = error instanceof OrgNotFound ? error.about : {}
          app.audit(request, 'request.refused', { ...who, code: error.code, ...whatOf(request) })
        }
        done(limited ?? challenge(reply, rule, error))
      }
      try {
        const orgId = organisationOf(request)
        if (rechecks) {
          request.recheck = async () => {
            const caller = await identify(request, orgId, recheckMaxAgeMs)
            // Requests may be late by the difference of two clocks; a response that lasts has no such allowance.
            if (caller.expiresAt <= app.clock.now()) throw notTaken('it has expired')
            // A session goes on in the user's home when its organisation is lost; the response does not.
            if (caller.orgId !== request.orgId) throw new OrgNotFound(request.orgId, caller.user?.id)
            assertMay(rule, caller)
          }
        }
        const caller = identify(request, orgId)
        if (caller instanceof Promise) {
          caller
            .then((found) => admit(request, found))
            .then(
              () => done(),
              (error) => refuse(error).catch(done),
            )
          return
        }
        admit(request, caller)
      } catch (error) {
        refuse(error).catch(done)
        return
      }
      done()
    }
  }

  const routes: RouteOptions[] = []
  app.addHook('onRoute', (route) => {
    routes.push(route)
    const { schema, config } = route
    if (!isDeclared(schema) || schema['x-roles'].includes('anyone')) return
    route.onRequest = [guard(schema, config ?? {}), ...[route.onRequest ?? []].flat()]
  })
  // Routes of plugins may be declared by the scope that registers them, after this plugin has seen them.
  app.addHook('onReady', async () => {
    const undeclared = routes.filter(({ schema }) => !isDeclared(schema)).map(({ method, url }) => `${method} ${url}`)
    if (undeclared.length > 0) throw new Error(`Routes do not declare who may call them: ${undeclared.join(', ')}`)
  })
}

export default fp(access, { name: 'access', dependencies: ['audit', 'database', 'rate-limits'] })

/** Milliseconds for which a recheck trusts what another one found: many responses share a look-up. */
const recheckMaxAgeMs = 5000

const whatOf = ({ method, routeOptions }: FastifyRequest) => ({ method, route: routeOptions.url ?? '' })

const isDeclared = (schema: Partial<AccessRule> | undefined): schema is AccessRule =>
  schema?.['x-roles'] !== undefined && schema['x-scopes'] !== undefined

function assertMay(
  { 'x-roles': roles, 'x-scopes': scopes }: AccessRule,
  { user, role, scopes: granted }: Caller,
): void {
  const isEnough = (roles.includes('user') && user !== null) || (role !== null && roles.includes(role))
  if (!isEnough) {
    if (roles.includes('user')) throw new OrdersError('UNAUTHENTICATED', 'This needs a user: the request has no token.')
    if (role === null) throw new OrdersError('ORG_NOT_FOUND', 'You belong to no organisation: create one.')
    throw new OrdersError('ROLE_REQUIRED', `This takes the role ${roles.join(' or ')}, and yours is ${role}.`)
  }
  const missing = scopes.filter((scope) => !granted.includes(scope))
  const who = user === null ? 'A request without a token' : 'The token'
  if (missing.length > 0) throw new OrdersError('SCOPE_REQUIRED', `${who} lacks the scope ${missing.join(', ')}.`)
}

/** Tells how to come back (RFC 6750). */
function challenge(reply: FastifyReply, { 'x-scopes': scopes }: AccessRule, error: unknown): Error {
  const { code } = error as OrdersError
  if (code === 'UNAUTHENTICATED') reply.header('www-authenticate', 'Bearer realm="orders"')
  if (code === 'SCOPE_REQUIRED') {
    reply.header('www-authenticate', `Bearer realm="orders", error="insufficient_scope", scope="${scopes.join(' ')}"`)
  }
  return error as Error
}
