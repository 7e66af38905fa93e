import type { FastifyRequest } from 'fastify'

// A laptop serves plain http, where browsers refuse the __Host- prefix.
const isSecure = ({ protocol }: FastifyRequest) => protocol === 'https'

/** The name under which nobody else can set this cookie of ours. */
export const cookieName = (request: FastifyRequest, name: string) => (isSecure(request) ? `__Host-${name}` : name)

/** Lax: a Strict cookie is not sent when a link elsewhere, or an issuer, leads here. */
export const cookieOptions = (request: FastifyRequest) =>
  ({ path: '/', httpOnly: true, sameSite: 'lax', secure: isSecure(request) }) as const

/** The value of such a cookie if it is 128 bits, as all of ours are. */
export function readCookie(request: FastifyRequest, name: string): string | undefined {
  const value = request.cookies[cookieName(request, name)]
  return value && /^[A-Za-z0-9_-]{22}$/.test(value) ? value : undefined
}
