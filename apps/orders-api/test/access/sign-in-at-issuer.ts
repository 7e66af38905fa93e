/** What the issuer's own pages would do for a person in a browser: signs in as `login`, and agrees. */
export async function signInAtIssuer(start: string, login: string): Promise<URL> {
  const { origin } = new URL(start)
  const cookies = new Map<string, string>()

  async function ask(url: string, body?: Record<string, string>): Promise<Response> {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(body && { method: 'POST', body: new URLSearchParams(body) }),
    })
    for (const text of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? []
      cookies.set(name, value)
    }
    return response
  }

  let at = start
  for (let steps = 0; steps < 12; steps++) {
    const response = await ask(at)
    const location = response.headers.get('location')
    if (location) {
      at = new URL(location, at).href
      if (new URL(at).origin !== origin) return new URL(at)
      continue
    }
    const html = await response.text()
    const prompt = /name="prompt" value="(\w+)"/.exec(html)?.[1]
    if (!prompt) throw new Error(`${response.status} of the issuer: ${html.slice(0, 300)}`)
    const action = /action="([^"]+)"/.exec(html)?.[1] ?? ''
    const sent = await ask(new URL(action, at).href, { prompt, ...(prompt === 'login' && { login, password: 'any' }) })
    at = new URL(sent.headers.get('location') ?? '', at).href
  }
  throw new Error(`the issuer goes round in circles at ${at}`)
}
