import type { Client } from 'pg'
import { type Guest, signToken } from './guests.ts'
import { send } from './http.ts'

const tokenSeconds = 3600

export type Browser = ReturnType<typeof openBrowser>

/** A browser without scripts. It keeps cookies, which every service of the same database accepts. */
export function openBrowser(home: string) {
  const cookies = new Map<string, string>()
  const cookie = () => [...cookies].map((pair) => pair.join('=')).join('; ')

  async function request(path: string, form?: URLSearchParams, url = home) {
    const headers = { accept: 'text/html', cookie: cookie(), 'sec-fetch-site': 'same-origin' }
    const answer = await send(`${url}${path}`, { headers, ...(form && { method: 'POST' as const, body: form }) })
    for (const line of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      cookies.set(name, value)
    }
    return answer
  }

  /** Sends a form, with the token that `page` shows. */
  async function submit(path: string, fields: Record<string, string> = {}, { page = '/', url = home } = {}) {
    const [, token = ''] = /name="_csrf" value="([^"]+)"/.exec((await request(page)).body) ?? []
    return request(path, new URLSearchParams({ ...fields, _csrf: token }), url)
  }

  return { cookie, sid: () => cookies.get('sid') ?? '', submit }
}

export type BrowserUser = Guest & { browser: Browser }

/**
 * Signs in on the pages as a new guest, who owns a new organisation, and signs a token of this guest. `admin` is a
 * superuser of the database.
 */
export async function signInOnPages(url: string, admin: Client, guestKeys: string): Promise<BrowserUser> {
  const browser = openBrowser(url)
  await browser.submit('/sign-in/guest', {}, { page: '/sign-in' })
  const { rows } = await admin.query<{ id: string; orgId: string }>(
    `SELECT u.id, u.home_org_id AS "orgId" FROM sessions s JOIN users u ON u.id = s.user_id
      WHERE s.digest = sha256(convert_to($1, 'UTF8'))`,
    [browser.sid()],
  )
  const [user] = rows
  if (!user) throw new Error('the sign-in began no session')
  return { ...user, browser, authorization: `Bearer ${signToken(guestKeys, user.id, tokenSeconds)}` }
}
