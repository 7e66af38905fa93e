import { createScratchDatabase } from '@orders/database/testing'
import { errorCatalogue, type Role, roles } from '@orders/schema'
import pg from 'pg'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { openBrowser, type Page } from './ui/browser.ts'

const settings = { AUTH_MODE: 'required', GUEST_KEYS: await newGuestKeys('test-key') }

type Browser = Awaited<ReturnType<typeof openBrowser>>
type Form = {
  /** The route that the form sends to. */
  route: string
  button: string
  filled?: Record<string, string>
  /** Makes what the form is about, as the owner, and returns the address of its page. */
  page: (owner: Browser) => Promise<string>
  roles: readonly Role[]
}

const writers = ['owner', 'member'] as const
const owners = ['owner'] as const

const placeOrder = async ({ get, submit }: Browser) => {
  const { headers } = await submit((await get('/ui/place-order')).page.form('Place order'), { Amount: '1' })
  return String(headers.location).replace(/\?.*/, '')
}

const addWebhook = async ({ get, submit }: Browser) => {
  const filled = { Address: 'https://example.com/hook' }
  const { headers } = await submit((await get('/ui/webhooks')).page.form('Add webhook'), filled)
  return String(headers.location).replace(/\?.*/, '')
}

const after = (make: (owner: Browser) => Promise<string>, button: string) => async (owner: Browser) => {
  const address = await make(owner)
  await owner.submit((await owner.get(address)).page.form(button))
  return address
}

const webhook = '/ui/webhooks/:id'
const forms: Form[] = [
  { route: '/ui/orders', button: 'Place order', filled: { Amount: '1' }, page: async () => '/', roles: writers },
  { route: '/ui/orders/:id/confirm', button: 'Confirm order', page: placeOrder, roles: writers },
  {
    route: '/ui/orders/:id/complete',
    button: 'Complete order',
    page: after(placeOrder, 'Confirm order'),
    roles: writers,
  },
  { route: '/ui/orders/:id/cancel', button: 'Yes, cancel it', page: placeOrder, roles: writers },
  { route: '/ui/orders/:id/edit', button: 'Save', page: placeOrder, roles: writers },
  {
    route: '/ui/webhooks',
    button: 'Add webhook',
    filled: { Address: 'https://example.com/hook' },
    page: async () => '/ui/webhooks',
    roles: owners,
  },
  { route: `${webhook}/test`, button: 'Send a test', page: addWebhook, roles: owners },
  { route: `${webhook}/pause`, button: 'Pause', page: addWebhook, roles: owners },
  { route: `${webhook}/enable`, button: 'Enable', page: after(addWebhook, 'Pause'), roles: owners },
  { route: `${webhook}/rotate`, button: 'Make a new key', page: addWebhook, roles: owners },
  { route: `${webhook}/delete`, button: 'Yes, delete it', page: addWebhook, roles: owners },
  {
    route: `${webhook}/deliveries/:delivery/resend`,
    button: 'Send again Test',
    page: after(addWebhook, 'Send a test'),
    roles: owners,
  },
  { route: '/ui/organisation', button: 'Switch', page: async () => '/', roles },
  { route: '/sign-out', button: 'Sign out', page: async () => '/', roles },
]
// Those of visitors without a session, and what browsers send by themselves.
const others = ['/sign-in/guest', '/sign-in/openid', '/ui/csp-reports']

/** A browser whose user has signed in and acts in the owner's organisation with the role. */
async function signIn(t: Test, database: { url: string; admin: pg.Client }, role: Role, org?: string) {
  const browser = await openBrowser(t, { ...settings, url: database.url })
  const { get, submit } = browser
  await submit((await get('/sign-in')).page.form('Continue as a guest'))
  const { rows } = await database.admin.query('SELECT id, home_org_id FROM users ORDER BY id DESC LIMIT 1')
  const [{ id, home_org_id }] = rows
  const orgs = org ? [org] : [home_org_id, (await makeOrg(database, 'second')).id]
  for (const orgId of orgs) {
    await database.admin.query(
      'INSERT INTO memberships (org_id, user_id, role) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING',
      [orgId, id, role],
    )
  }
  if (org) await browser.post('/ui/organisation', { org_id: org, _csrf: await csrfOf(browser) })
  return { browser, home: home_org_id as string }
}

const makeOrg = async ({ admin }: { admin: pg.Client }, slug: string) =>
  (await admin.query('INSERT INTO organisations (id, name, slug) VALUES (uuidv7(), $1, $1) RETURNING id', [slug]))
    .rows[0]

const csrfOf = async ({ get }: Browser) => (await get('/')).page.all('[name="_csrf"]')[0]?.getAttribute('value') ?? ''

const hasButton = (page: Page, name: string) => page.button(name) !== undefined

t.test('every form of every page does for a session what the role allows, and nothing else', async (t) => {
  const { url } = await createScratchDatabase(t)
  const admin = new pg.Client({ connectionString: url })
  await admin.connect()
  t.teardown(() => admin.end())
  const { browser: owner, home } = await signIn(t, { url, admin }, 'owner')

  const posts = owner.routes.filter(({ method, url: at }) => method === 'POST' && /^\/(ui|sign)/.test(at))
  const listed = [...forms.map(({ route }) => route), ...others].sort()
  t.strictSame(posts.map((route) => route.url).sort(), listed, 'every form of the service is listed here')

  for (const role of roles.toReversed()) {
    const { browser } = role === 'owner' ? { browser: owner } : await signIn(t, { url, admin }, role, home)
    for (const { route, button, filled, page, roles: allowed } of forms) {
      const address = await page(owner)
      const shown = await browser.get(address)
      if (allowed.includes(role)) {
        const { statusCode, page: answer } = await browser.submit(shown.page.form(button), filled)
        t.ok(statusCode === 303 || statusCode === 201, `${role}: ${route} ${statusCode} ${answer.heading()}`)
      } else {
        t.notOk(hasButton(shown.page, button), `${role}: ${route} is not offered`)
        const target = route.replace(/.*\/:id(?=\/)/, address).replace(':delivery', 'x')
        const refused = await browser.post(target, { _csrf: await csrfOf(browser), ...filled })
        t.equal(refused.statusCode, 403, `${role}: ${route}`)
        t.equal(refused.page.heading(), errorCatalogue.ROLE_REQUIRED.title)
      }
    }
  }
})
