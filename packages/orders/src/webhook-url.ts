const loopback = new Set(['localhost', '127.0.0.1', '[::1]'])

/**
 * Why nothing is sent to this address, as far as its text tells; undefined if it may be. `allowLoopback` is for
 * development: http on any port of the machine itself.
 */
export function urlFault(text: string, allowLoopback: boolean): string | undefined {
  const url = URL.parse(text)
  if (!url) return 'must be an address, such as https://example.com/orders'
  if (url.username || url.password) return 'must not hold a user name or a password'
  if (text.includes('#')) return 'must not have a fragment'
  if (allowLoopback && loopback.has(url.hostname) && /^https?:$/.test(url.protocol)) return undefined
  if (url.protocol !== 'https:') return 'must begin with https://'
  if (url.port !== '') return 'must be on port 443'
  return loopback.has(url.hostname) ? 'must be an address of another machine' : undefined
}
