import { OrdersError } from '@orders/orders'
import { errorCatalogue } from '@orders/schema'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { cookieName, cookieOptions, readCookie } from '../access/cookies.ts'
import { isAnswerTo, type OpenIdSignIn, SignInError } from '../access/openid-sign-in.ts'
import { localPath } from '../access/return-to.ts'
import { may } from '../access/rules.ts'
import { setRetryAfter, toldOf } from '../plugins/problems.ts'
import { readValues } from './fields.ts'

export type SignInOptions = {
  /** By the name of their issuer. */
  clients: ReadonlyMap<string, OpenIdSignIn>
  /** https://orders.example.com; of the request without it. */
  publicUrl: string | undefined
  /** Whether one may as well go on without. */
  isOpen: boolean
}

const notices: Record<string, string> = { 'signed-out': 'You are signed out.' }
const cookie = 'sign-in'
const bodyLimit = 8192

/** Signs users in, as new guests or by their issuer. A refusal shows the page again, and what to do. */
export async function signInPage(app: FastifyInstance, { clients, publicUrl, isOpen }: SignInOptions) {
  const { people } = app
  /** What a failed answer of an issuer would have led to. */
  const returns = new WeakMap<FastifyRequest, string>()

  function show(reply: FastifyReply, shown: { returnTo: string; notice?: string | undefined; message?: string }) {
    const issuers = [...clients.values()].map(({ issuer, name }) => ({ issuer, name }))
    const offer = { guests: app.guestTokens !== null, issuers, isOpen }
    return reply.page('sign-in', { title: 'Sign in', csrf: reply.csrfToken(), ...offer, ...shown })
  }

  function showFailed(error: Error, request: FastifyRequest, reply: FastifyReply) {
    const { code, message } = toldOf(error, request)
    const reason = error instanceof SignInError ? error.reason : code
    app.audit(request, 'sign-in.failed', { reason })
    if (code !== 'SIGN_IN_FAILED' && code !== 'ISSUER_UNAVAILABLE') return reply.problemPage({ code, message })
    setRetryAfter(reply, code)
    const returnTo = localPath(returns.get(request) ?? readValues(request.body, ['return_to']).return_to)
    return show(reply.code(errorCatalogue[code].status), { returnTo, message })
  }

  async function enter(request: FastifyRequest, reply: FastifyReply, userId: string, issuer: string | null) {
    await reply.signIn(userId, issuer)
    app.audit(request, 'user.signed-in', { user: userId, by: issuer ?? 'guest' })
  }

  app.get('/sign-in', { schema: may.anyone }, (request, reply) => {
    const { return_to, done } = readValues(request.query, ['return_to', 'done'])
    return show(reply, { returnTo: localPath(return_to), notice: notices[done] })
  })

  const form = { bodyLimit, schema: may.anyone, errorHandler: showFailed }

  app.post('/sign-in/guest', { ...form, config: { rateLimit: 'guests' } }, async (request, reply) => {
    if (!app.guestTokens) throw new OrdersError('NOT_FOUND', 'Guests are not taken here.')
    const { return_to } = readValues(request.body, ['return_to'])
    const { user } = await people.signUpGuest()
    await enter(request, reply, user.id, null)
    return reply.redirect(localPath(return_to), 303)
  })

  app.post('/sign-in/openid', form, async (request, reply) => {
    const { return_to, issuer } = readValues(request.body, ['return_to', 'issuer'])
    const client = clients.get(issuer)
    if (!client) throw new SignInError('unknown_issuer')
    const secret = await people.beginSignIn({ issuer, returnTo: localPath(return_to) })
    const url = await client.begin(secret, `${originOf(request, publicUrl)}/sign-in/callback`)
    reply.setCookie(cookieName(request, cookie), secret, { ...cookieOptions(request), maxAge: 600 })
    return leaveFor(reply, url, `Sign in with ${client.name}`)
  })

  // The one GET that changes something: what it brings must answer the sign-in that this browser has begun.
  const answer = { schema: may.anyone, exposeHeadRoute: false, errorHandler: showFailed }
  app.get('/sign-in/callback', answer, async (request, reply) => {
    const secret = readCookie(request, cookie)
    const { state } = readValues(request.query, ['state'])
    if (!secret || !isAnswerTo(secret, state)) throw new SignInError('state')
    reply.clearCookie(cookieName(request, cookie), cookieOptions(request))
    const begun = await people.takeSignIn(secret)
    if (begun) returns.set(request, begun.returnTo)
    const client = begun && clients.get(begun.issuer)
    if (!client) throw new SignInError('ended')
    const url = new URL('/sign-in/callback', originOf(request, publicUrl))
    url.search = request.url.slice(request.url.indexOf('?'))
    const user = await client.complete(secret, url)
    await people.signUpUser(user)
    await enter(request, reply, user.id, client.issuer)
    return reply.redirect(localPath(begun.returnTo), 303)
  })
}

/** Throws BAD_REQUEST for a host that is none. */
export function originOf({ protocol, host }: FastifyRequest, publicUrl: string | undefined): string {
  const origin = URL.parse(publicUrl ?? `${protocol}://${host}`)?.origin
  if (!origin) throw new OrdersError('BAD_REQUEST', 'The Host header names no host.')
  return origin
}

/**
 * Goes to another site by a page. Chromium holds every redirect that follows a form against form-action, also those
 * between the issuer and those that it trusts, whose names nobody here can know.
 */
export const leaveFor = (reply: FastifyReply, url: string, heading: string) =>
  reply.page('leave', { title: heading, heading, url, host: new URL(url).host })
