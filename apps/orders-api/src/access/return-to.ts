const maxLength = 2000
const here = 'http://here.invalid'

/** Where to go after a sign-in: a path of this site, or `/` for whatever would lead, or be taken to lead, elsewhere. */
export function localPath(asked: unknown): string {
  if (typeof asked !== 'string' || !asked.startsWith('/') || asked.length > maxLength) return '/'
  const path = pathOf(asked)
  // The parser takes dots away: `/.//elsewhere` becomes `//elsewhere`, which the browser would read anew.
  return path !== undefined && pathOf(path) === path && !/^\/sign-(in|out)\b/.test(path) ? path : '/'
}

/** What the browser would ask of this site; undefined if it would ask another one. */
function pathOf(reference: string): string | undefined {
  const url = URL.parse(reference, here)
  return url?.origin === here ? `${url.pathname}${url.search}` : undefined
}
