import type { FastifyRequest } from 'fastify'

/** Whether the Origin header names the host that the request was sent to. */
export function hasOwnOrigin({ headers, protocol, host }: FastifyRequest): boolean {
  const own = URL.parse(`${protocol}://${host}`)?.host // without the port that the scheme implies
  return own !== undefined && URL.parse(headers.origin ?? '')?.host === own
}

/** The host of a Host header in one spelling, without the port; undefined if it is none, such as `a/b` or `user@a`. */
export const hostnameOf = (host: string): string | undefined =>
  /[/\\?#@\s]/.test(host) ? undefined : URL.parse(`http://${host}`)?.hostname || undefined

/** Whether a name leads to this machine wherever it is looked up (RFC 6761), or is an address of the machine itself. */
export const isLoopback = (hostname: string): boolean =>
  /^(?:.+\.)?localhost$/.test(hostname) || /^127(?:\.\d{1,3}){3}$/.test(hostname) || hostname === '[::1]'
