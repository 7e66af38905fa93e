import { createScratchDatabase } from '@orders/database/testing'
import pg from 'pg'
import t, { type Test } from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { openBrowser } from './ui/browser.ts'

const GUEST_KEYS = await newGuestKeys('test-key')
const url = 'https://example.com/hook'

async function start(t: Test) {
  const database = (await createScratchDatabase(t)).url
  const admin = new pg.Client({ connectionString: database })
  await admin.connect()
  const browser = await openBrowser(t, { url: database, GUEST_KEYS })
  t.teardown(() => admin.end())
  return { ...browser, admin }
}

type Browser = Awaited<ReturnType<typeof start>>

async function add({ get, submit }: Browser, filled: Record<string, string> = {}) {
  const { page } = await get('/ui/webhooks')
  return submit(page.form('Add webhook'), { Address: url, ...filled })
}

t.test('a webhook is added, tried, paused, enabled, given a new key and deleted, without a script', async (t) => {
  const browser = await start(t)
  const { get, submit, actAsGuest } = browser
  await actAsGuest()
  t.match((await get('/ui/webhooks')).body, 'There are no webhooks yet.')
  const added = await add(browser, { Description: 'Shop', Placed: 'yes' })
  t.equal(added.statusCode, 303)
  const { page } = await get(String(added.headers.location))
  t.equal(page.status(), 'The webhook is added.')
  t.equal(page.heading(), `Webhook ${url}`)
  t.match(page.text('.facts'), /Shop.*Placed.*ed25519.*whpk_/)
  t.match((await get('/ui/webhooks')).page.text('table.webhooks tbody'), `Shop ${url} Placed working`)

  const press = async (from: typeof page, button: string) =>
    (await get(String((await submit(from.form(button))).headers.location))).page
  const tested = await press(page, 'Send a test')
  t.match(tested.text('table.deliveries tbody'), /^Test .* pending None yet Send again Test$/)
  t.match((await press(tested, 'Send again Test')).status(), 'on its way again')
  const paused = await press(tested, 'Pause')
  t.match(paused.text('.amount-large'), 'paused')
  t.match(paused.text('.facts'), 'It was paused by an owner.')
  t.notOk(paused.button('Send a test'))
  const late = await submit(tested.form('Send a test'))
  t.equal(late.statusCode, 409)
  t.equal(late.page.alert(), 'Nothing is sent to a webhook that is disabled.')
  const enabled = await press(paused, 'Enable')
  t.match(enabled.text('.amount-large'), 'working')
  const rotated = await press(enabled, 'Make a new key')
  t.match(rotated.text('.facts'), 'Old key too until')
  const deleted = await press(rotated, 'Yes, delete it')
  t.equal(deleted.status(), 'The webhook is deleted.')
  t.equal((await get(String(added.headers.location))).statusCode, 404)
  t.equal((await get('/ui/webhooks/x')).statusCode, 404)
})

t.test('a shared secret is shown once, also to who sends the form twice', async (t) => {
  const browser = await start(t)
  const { get, submit, actAsGuest } = browser
  await actAsGuest()
  const form = (await get('/ui/webhooks')).page.form('Add webhook')
  const filled = { Address: url, 'Signed with': 'hmac' }
  const added = await submit(form, filled)
  t.equal(added.statusCode, 201)
  const secret = added.page.text('.secret')
  t.match(secret, /^whsec_/)
  t.equal((await submit(form, filled)).page.text('.secret'), secret)
  const path = added.page.link('To the webhook') ?? ''
  const { page, body } = await get(path)
  t.notMatch(body, 'whsec_')
  const rotating = page.form('Make a new key')
  const rotated = await submit(rotating)
  t.match(rotated.page.text('.secret'), /^whsec_/)
  t.not(rotated.page.text('.secret'), secret)
  t.equal((await submit(rotating)).page.text('.secret'), rotated.page.text('.secret'))
  t.equal(added.headers['cache-control'], 'no-store')
})

t.test('faults stand at their fields, and what was typed stays', async (t) => {
  const browser = await start(t)
  await browser.actAsGuest()
  const cases: [string, Record<string, string>, string][] = [
    ['Address', { Address: '' }, 'Enter an address'],
    ['Address', { Address: 'http://example.com' }, 'must start with https://'],
    ['Address', { Address: 'https://u:p@example.com' }, 'must have no user name'],
    ['Description', { Description: 'x'.repeat(201) }, 'Use at most 200 characters'],
    ['Signed with', { 'Signed with': 'none' }, 'Choose how messages are signed.'],
  ]
  for (const [label, filled, message] of cases) {
    const refused = await add(browser, { Cancelled: 'yes', ...filled })
    t.equal(refused.statusCode, 400, message)
    t.match(refused.page.description(label), message)
    t.ok(refused.page.all('[name="orders.order.cancelled.v1"][checked]').length === 1, 'a tick stays')
  }
  t.equal((await browser.get('/ui/webhooks')).page.all('table').length, 0)
})

t.test('who is no owner looks, and changes nothing', async (t) => {
  const browser = await start(t)
  const { get, post, admin } = browser
  await admin.query(`INSERT INTO webhooks (org_id, url, key) VALUES ('00000000-0000-7000-8000-000000000000', $1, $2)`, [
    url,
    Buffer.alloc(32),
  ])
  const list = await get('/ui/webhooks')
  t.match(list.body, 'Owners of the organisation add and change webhooks.')
  t.equal(list.page.all('main form').length, 0)
  const path = list.page.all('table.webhooks a')[0]?.getAttribute('href') ?? ''
  const shown = await get(path)
  t.equal(shown.statusCode, 200)
  t.equal(shown.page.all('main form').length, 0)
  for (const what of ['test', 'pause', 'enable', 'rotate', 'delete', 'deliveries/x/resend']) {
    t.equal((await post(`${path}/${what}`, {})).statusCode, 403, what)
  }
})

t.test('the log shows what was answered, and leads to older pages', async (t) => {
  const browser = await start(t)
  const { get, admin, actAsGuest } = browser
  await actAsGuest()
  const path = String((await add(browser)).headers.location).replace(/\?.*/, '')
  await admin.query(
    `INSERT INTO webhook_deliveries (org_id, webhook_id, order_id, sequence, type, state, attempts, last_status, last_reply,
        last_duration_ms, created_at)
      SELECT org_id, id, 'lamp-' || i, 1, 'orders.order.placed.v1', 'failed', 10, 500, '<script>alert(1)</script>', 12,
        now() - i * interval '1 minute' FROM webhooks, generate_series(1, 30) i`,
  )
  const first = await get(path)
  t.equal(first.page.all('table.deliveries tbody tr').length, 25)
  t.match(
    first.page.text('table.deliveries tbody tr'),
    /^Placed lamp-1 .* failed 10 attempts 500 12 ms What it said ?<script>/,
  )
  t.notMatch(first.body, '<script>alert')
  const older = await get(first.page.link('Older deliveries') ?? '')
  t.equal(older.page.all('table.deliveries tbody tr').length, 5)
})
