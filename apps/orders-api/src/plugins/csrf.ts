import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import cookie from '@fastify/cookie'
import { OrdersError } from '@orders/orders'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { cookieName, cookieOptions, readCookie } from '../access/cookies.ts'
import { hasOwnOrigin } from '../access/origin.ts'

declare module 'fastify' {
  interface FastifyReply {
    /** The token that every form of the page carries in its field `_csrf`; gives the browser its cookie if need be. */
    csrfToken(): string
  }
}

const name = 'orders-form'
const isSafe = ({ method }: FastifyRequest) => method === 'GET' || method === 'HEAD'

/**
 * Takes forms only from the service's own pages: the browser must say so, and the form must carry a token made with
 * the secret that the browser keeps in a cookie. Throws CROSS_SITE_REQUEST. It needs no state on the server, so a form
 * may be sent to another replica than the one that rendered it.
 */
async function csrf(app: FastifyInstance) {
  await app.register(cookie)

  app.decorateReply('csrfToken', function csrfToken() {
    const { request } = this
    let secret = readCookie(request, name)
    if (!secret) {
      secret = randomBytes(16).toString('base64url')
      this.setCookie(cookieName(request, name), secret, cookieOptions(request))
      request.cookies[cookieName(request, name)] = secret
    }
    const salt = randomBytes(8).toString('base64url') // no two pages show the same bytes, whatever compresses them
    return `${salt}.${sign(secret, salt, request)}`
  })

  app.addHook('onRequest', (request, _reply, done) => {
    if (isSafe(request) || isSameSite(request)) done()
    else done(new OrdersError('CROSS_SITE_REQUEST', 'The form was not sent from a page of this site.'))
  })

  app.addHook('preValidation', (request, _reply, done) => {
    if (isSafe(request) || hasToken(request)) done()
    else {
      const message = 'The form is no longer valid in this browser: open the page again and send it from there.'
      done(new OrdersError('CROSS_SITE_REQUEST', message))
    }
  })
}

export default fp(csrf, { name: 'csrf' })

/** Browsers send Sec-Fetch-Site to https and localhost only; everywhere else Origin has to do. */
function isSameSite(request: FastifyRequest): boolean {
  const site = request.headers['sec-fetch-site']
  return site === undefined ? hasOwnOrigin(request) : site === 'same-origin' || site === 'none'
}

function hasToken(request: FastifyRequest): boolean {
  const secret = readCookie(request, name)
  const token = (request.body as Record<string, unknown> | undefined)?._csrf
  if (!secret || typeof token !== 'string') return false
  const [salt = '', given = ''] = token.split('.')
  const wanted = Buffer.from(sign(secret, salt, request))
  const found = Buffer.from(given)
  return found.length === wanted.length && timingSafeEqual(found, wanted)
}

/** A form is of one user in one organisation: it is not sent as another one, or into another one, from an older tab. */
function sign(secret: string, salt: string, { caller }: FastifyRequest): string {
  const actor = caller?.user ? ` ${caller.principal} ${caller.orgId}` : ''
  return createHmac('sha256', secret).update(`${salt}${actor}`).digest('base64url')
}
