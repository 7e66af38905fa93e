import type { Test } from 'tap'
import { newGuestKeys } from '../../src/access/guest-tokens.ts'
import { openBrowser } from '../ui/browser.ts'
import { startIssuer, webClient } from './issuer.ts'

export const PUBLIC_URL = 'http://localhost'
export const audience = 'urn:orders'
const GUEST_KEYS = await newGuestKeys('test-key')

export const entry = (issuer: { url: string }, name: string) => ({ issuer: issuer.url, audience, name, ...webClient })
export type Browser = Awaited<ReturnType<typeof openBrowser>>

/** The pages, where users of two issuers sign in, and those issuers. */
export async function startPages(t: Test, { url = '' } = {}) {
  const [first, second] = [
    await startIssuer(t, { pages: PUBLIC_URL, audience }),
    await startIssuer(t, { pages: PUBLIC_URL, audience }),
  ]
  const settings = {
    AUTH_MODE: 'required',
    GUEST_KEYS,
    PUBLIC_URL,
    OPENID_ISSUERS: JSON.stringify([entry(first, 'First'), entry(second, 'Second')]),
    ...(url && { url }),
  }
  return { first, second, settings, browser: await openBrowser(t, settings) }
}

/** Presses the button, and tells where it leads. */
export async function begin({ get, submit }: Browser, name = 'First', returnTo = '/ui/place-order'): Promise<string> {
  const { page } = await get(`/sign-in?${new URLSearchParams({ return_to: returnTo })}`)
  const answer = await submit(page.form(`Sign in with ${name}`))
  return answer.page.link('Go there now') ?? ''
}

/** Comes back from the issuer, with a changed answer if so. */
export const come = ({ get }: Browser, back: URL, change: Record<string, string | null> = {}) => {
  for (const [key, value] of Object.entries(change)) {
    if (value === null) back.searchParams.delete(key)
    else back.searchParams.set(key, value)
  }
  return get(`${back.pathname}${back.search}`)
}

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
