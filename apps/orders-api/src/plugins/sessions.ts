import { OrdersError } from '@orders/orders'
import type { OwnOrganisation } from '@orders/schema'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { cookieName, cookieOptions, readCookie } from '../access/cookies.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Of whom is signed in, for the pages to choose from. */
    ownOrgs: OwnOrganisation[]
  }
  interface FastifyReply {
    /** Starts a session of the user, whatever session there was, and gives the browser its cookie. */
    signIn(userId: string, issuer: string | null): Promise<void>
    /** Ends the session in every process, and takes the cookie back. */
    signOut(): Promise<{ userId: string; issuer: string | null } | undefined>
  }
}

const name = 'sid'

/** Sessions of browsers. Only pages know them: the API takes no cookie, so no other site can use one there. */
async function sessions(app: FastifyInstance) {
  const { people } = app
  app.decorateRequest('ownOrgs')

  app.decorateReply('signIn', async function signIn(userId, issuer) {
    await this.signOut()
    const { request } = this
    this.setCookie(cookieName(request, name), await people.startSession(userId, issuer), cookieOptions(request))
  })

  app.decorateReply('signOut', async function signOut() {
    const { request } = this
    const { sid } = request
    if (sid === null) return undefined
    const ended = await people.endSession(sid)
    if (ended) app.forgetCaller(ended.userId) // others hear of it
    forgetCookie(this)
    return ended
  })

  app.addHook('onRequest', (request, _reply, done) => {
    request.sid = readCookie(request, name) ?? null
    request.ownOrgs = []
    done()
  })

  // Everybody sees these pages, which say who is signed in.
  app.addHook('onRoute', (route) => {
    if (!route.schema?.['x-roles']?.includes('anyone')) return
    route.onRequest = [recognise, ...[route.onRequest ?? []].flat()]
  })

  async function recognise(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (request.sid === null) return
    try {
      const caller = await app.callerOf(request.sid)
      Object.assign(request, { caller, orgId: caller.orgId, principal: caller.principal })
    } catch (error) {
      if (error instanceof OrdersError && error.code === 'UNAUTHENTICATED') forgetCookie(reply)
      else request.log.warn({ err: error, reqId: request.id }, 'a session could not be looked up')
    }
  }

  app.addHook('preHandler', async (request) => {
    const user = request.sid !== null && request.caller?.user
    if (user) request.ownOrgs = await people.ownOrgs(user.id)
  })
}

export default fp(sessions, { name: 'sessions', dependencies: ['access', 'csrf'] })

function forgetCookie(reply: FastifyReply): void {
  const { request } = reply
  request.sid = null
  reply.clearCookie(cookieName(request, name), cookieOptions(request))
}
