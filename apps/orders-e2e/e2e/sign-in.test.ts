/// <reference lib="dom" />
import { generateKeyPairSync } from 'node:crypto'
import { createScratchDatabase } from '@orders/database/testing'
import { Client } from 'pg'
import type { Page } from 'playwright-core'
import t from 'tap'
import { freePort, startIssuer } from '../src/faults/issuer.ts'
import { startService } from '../src/faults/service-process.ts'
import { accessibilityFaults, launchChromium, openPage } from './pages/browser.ts'

const { url: database } = await createScratchDatabase(t)
const browser = await launchChromium()
const port = await freePort()
const base = `http://localhost:${port}`
const issuer = await startIssuer(t, { origin: base })
const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
const service = startService({
  DATABASE_URL: database,
  HOST: 'localhost',
  PORT: String(port),
  DRAIN_DELAY_MS: '0',
  AUTH_MODE: 'required',
  RATE_LIMITS: 'off', // a test signs more in than one address may
  PUBLIC_URL: base,
  GUEST_KEYS: JSON.stringify({ keys: [{ ...jwk, kid: 'e2e' }] }),
  OPENID_ISSUERS: JSON.stringify([
    {
      issuer: issuer.url,
      audience: 'urn:orders',
      name: 'Example ID',
      client_id: 'pages',
      client_secret: 'secret-of-pages',
    },
  ]),
})
t.teardown(async () => {
  await browser.close()
  service.kill('SIGTERM')
  await service.exited
})
await service.ready()

const narrowest = { width: 320, height: 640 }
const phone = { width: 360, height: 740 }
const desktop = { width: 1440, height: 900 }

const visitors = [
  { name: 'a phone in the dark without scripts', viewport: phone, colorScheme: 'dark', javaScriptEnabled: false },
  { name: 'a desktop in the light', viewport: desktop, colorScheme: 'light', javaScriptEnabled: true },
] as const

const signOut = (page: Page) => page.getByRole('button', { name: 'Sign out' })

/** What the issuer's own pages ask for. */
async function signInAtIssuer(page: Page, login: string): Promise<void> {
  await page.locator('[name="login"]').fill(login)
  await page.locator('[name="password"]').fill('any')
  await page.locator('button[type="submit"]').click()
  await page.getByRole('button', { name: 'Continue' }).click()
}

for (const [index, { name, ...options }] of visitors.entries()) {
  t.test(`a guest places an order and signs out on ${name}`, async (t) => {
    const { page, complaints, close } = await openPage(browser, options)
    await page.goto(`${base}/ui/place-order?from=a+link`)
    t.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Sign in')
    await page.getByRole('button', { name: 'Continue as a guest' }).click()
    t.equal(page.url(), `${base}/ui/place-order?from=a+link`)
    t.match(await page.getByRole('banner').innerText(), /Signed in as guest-\d{4}/)
    await page.getByLabel('Amount').fill('12.5')
    await page.getByRole('button', { name: 'Place order' }).click()
    t.equal(await page.getByRole('status').innerText(), 'The order is placed.')
    const order = page.url()

    await signOut(page).click()
    t.equal(await page.getByRole('status').innerText(), 'You are signed out.')
    await page.goto(order)
    t.match(page.url(), `${base}/sign-in?return_to=`)
    await page.getByRole('button', { name: 'Continue as a guest' }).click()
    t.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'There is no such order', 'for another guest')
    t.match(await page.getByRole('banner').innerText(), /Signed in as guest-\d{4}/)
    t.same(complaints, [])
    await close()
  })

  t.test(`a user of an issuer comes back to what was asked for, on ${name}`, async (t) => {
    const { page, complaints, close } = await openPage(browser, options)
    const login = `user-${index}`
    // The issuer's own pages ask for fonts from elsewhere.
    await page.route(
      (url) => url.origin !== base && (url.origin !== issuer.url || url.pathname === '/favicon.ico'),
      (route) => route.fulfill({ contentType: 'text/css', body: '' }),
    )
    await page.goto(`${base}/?status=placed`)
    await page.getByRole('button', { name: 'Sign in with Example ID' }).click()
    await page.waitForURL(`${issuer.url}/**`)
    await signInAtIssuer(page, login)
    await page.waitForURL(`${base}/?status=placed`)
    t.match(await page.getByRole('banner').innerText(), `Signed in as ${login} of the issuer`)
    const { cookies } = await page.context().storageState()
    const sid = cookies.find((cookie) => cookie.name === 'sid')
    t.match(sid, { httpOnly: true, sameSite: 'Lax', path: '/', expires: -1 })

    await signOut(page).click()
    await page.waitForURL(`${issuer.url}/session/end**`)
    t.notOk(
      (await page.context().cookies(base)).some((cookie) => cookie.name === 'sid'),
      'it is over here already',
    )
    await page.getByRole('button', { name: 'Yes, sign me out' }).click()
    await page.waitForURL(`${base}/sign-in`)
    await page.goto(base)
    t.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Sign in')
    t.same(complaints, [])
    await close()
  })
}

t.test('the keyboard signs in, switches and signs out, and shows where it is', async (t) => {
  const { page, complaints, close } = await openPage(browser, { viewport: desktop })

  /** Goes on by Tab to what has this name, and looks that the focus is seen on the way. */
  async function reach(wanted: string): Promise<void> {
    for (let steps = 0; steps < 60; steps++) {
      await page.keyboard.press('Tab')
      const { text, outline } = await page.evaluate(() => {
        const element = document.activeElement as HTMLSelectElement
        const text = (element.labels?.[0] ?? element).textContent?.trim() ?? ''
        return { text, outline: getComputedStyle(element).outlineStyle }
      })
      if (outline === 'none') t.fail(`the focus on ${text} is not visible`)
      if (text === wanted) return
    }
    throw new Error(`${wanted} is not reached`)
  }

  await page.goto(base)
  await reach('Continue as a guest')
  await page.keyboard.press('Enter')
  await page.waitForURL(`${base}/`)
  const id = await invite(await newestUser(), 'Lamps')
  await page.reload()
  await reach('Organisation')
  await page.keyboard.type('Lamps')
  await reach('Switch')
  await page.keyboard.press('Enter')
  await page.waitForFunction((id) => document.querySelector('select')?.value === id, id)
  t.equal(await page.getByRole('button', { name: 'Place order' }).count(), 0, 'a viewer there')
  await reach('Sign out')
  await page.keyboard.press('Enter')
  await page.waitForURL(/signed-out/)
  t.same(complaints, [])
  await close()
})

t.test('no page of a sign-in breaks a rule of axe-core, or needs to be scrolled sideways', async (t) => {
  for (const colorScheme of ['light', 'dark'] as const) {
    const { page, complaints, close } = await openPage(browser, { colorScheme })
    const look = async (address: string) => {
      for (const viewport of [narrowest, phone, desktop]) {
        const what = `${address} in ${colorScheme} at ${viewport.width} px`
        await page.setViewportSize(viewport)
        await page.goto(base + address)
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        if (overflow > 0) t.fail(`${what} is ${overflow} px too wide`)
        if (viewport !== narrowest) t.same(await accessibilityFaults(page), [], what)
      }
    }
    for (const address of ['/sign-in', '/sign-in?done=signed-out', '/sign-in/callback?state=x']) await look(address)
    await page.goto(base)
    await page.getByRole('button', { name: 'Continue as a guest' }).click()
    await invite(await newestUser(), `An organisation with a long name in ${colorScheme}`)
    for (const address of ['/', '/sign-in', '/ui/orders/none', '/errors']) await look(address)
    t.same(complaints, [])
    await close()
  }
})

/** Makes the user a viewer of a new organisation of somebody else, and returns its id. */
async function invite(userId: string, name: string): Promise<string> {
  const { access_token: token } = await callApi('POST', '/auth/guest')
  const { id } = await callApi('POST', '/orgs', token, { name, slug: name.toLowerCase().replaceAll(' ', '-') })
  await callApi('PUT', `/orgs/${id}/members/${userId}`, token, { role: 'viewer' })
  return id ?? ''
}

async function newestUser(): Promise<string> {
  const client = new Client({ connectionString: database })
  await client.connect()
  const { rows } = await client.query<{ id: string }>('SELECT id FROM users ORDER BY created_at DESC LIMIT 1')
  await client.end()
  return rows[0]?.id ?? ''
}

async function callApi(method: string, path: string, token = '', body?: object): Promise<Record<string, string>> {
  const headers = {
    ...(token && { authorization: `Bearer ${token}` }),
    ...(body && { 'content-type': 'application/json' }),
  }
  const answer = await fetch(`${base}/api/v1${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`)
  return (await answer.json()) as Record<string, string>
}
