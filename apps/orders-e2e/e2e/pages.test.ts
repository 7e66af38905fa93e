/// <reference lib="dom" />
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import type { Page } from 'playwright-core'
import t from 'tap'
import { startService } from '../src/faults/service-process.ts'
import { accessibilityFaults, foreignHost, launchChromium, openPage } from './pages/browser.ts'

const { url: database } = await createScratchDatabase(t)
const browser = await launchChromium()
const service = startService({
  DATABASE_URL: database,
  HOST: 'localhost',
  ALLOWED_HOSTS: foreignHost,
  DRAIN_DELAY_MS: '0',
})
t.teardown(async () => {
  await browser.close()
  service.kill('SIGTERM')
  await service.exited
})
const base = await service.ready()

for (let n = 1; n <= 30; n++) await placeByApi({ id: `seed-${n}`, amount: n, description: `Seed ${n}` })

async function placeByApi(order: object): Promise<void> {
  const body = JSON.stringify(order)
  const answer = await fetch(`${base}/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  })
  if (answer.status !== 201) throw new Error(`${body} was answered with ${answer.status}`)
}

const narrowest = { width: 320, height: 640 }
const phone = { width: 360, height: 740 }
const desktop = { width: 1440, height: 900 }

const visitors = [
  { name: 'a phone in the dark without scripts', viewport: phone, colorScheme: 'dark', javaScriptEnabled: false },
  { name: 'a desktop in the light', viewport: desktop, colorScheme: 'light', javaScriptEnabled: true },
] as const

t.test('without Chromium, the tests fail and say what to install', async (t) => {
  await t.rejects(launchChromium('/nowhere/chromium'), { message: /run apt-get install chromium\.$/ })
})

for (const [index, { name, ...options }] of visitors.entries()) {
  t.test(`orders are placed, found and changed on ${name}`, async (t) => {
    const { page, complaints, close } = await openPage(browser, options)
    const id = `visit-${index}`
    await page.goto(base)
    const form = page.locator('form[action="/ui/orders"]')

    await form.getByLabel('Amount').fill('12,5')
    await form.getByLabel('Your own id').fill(id)
    await form.getByLabel('Description').fill(`Lamp <${index}>`)
    await form.getByRole('button', { name: 'Place order' }).click()
    t.match(await page.getByRole('alert').innerText(), 'Write the amount in digits with a point')
    t.equal(await page.getByRole('alert').evaluate((alert) => alert === document.activeElement), true)
    const amount = page.getByRole('textbox', { name: 'Amount', description: /Write the amount in digits/ })
    t.equal(await amount.inputValue(), '12,5')
    t.equal(await page.getByLabel('Your own id').inputValue(), id)

    await amount.fill('12.5')
    await page.getByRole('button', { name: 'Place order' }).click()
    t.equal(page.url(), `${base}/ui/orders/${id}?done=placed`)
    t.equal(await page.getByRole('status').innerText(), 'The order is placed.')
    t.match(await page.getByRole('main').innerText(), /EUR\s12\.50/)

    await page.getByRole('button', { name: 'Confirm order' }).click()
    t.equal(await page.getByRole('status').innerText(), 'The order is confirmed.')
    await page.getByText('Cancel order').click()
    await page.getByRole('button', { name: 'Yes, cancel it' }).click()
    t.equal(await page.getByRole('button', { name: 'Complete order' }).count(), 0)
    t.same(await page.getByRole('region', { name: 'History' }).getByRole('listitem').count(), 3)

    await page.getByRole('link', { name: 'All orders' }).first().click()
    t.equal(await rows(page).count(), 25)
    t.match(await rows(page).first().innerText(), `Lamp <${index}>`)
    await page.getByRole('link', { name: 'Older orders' }).click()
    t.match(await rows(page).last().innerText(), 'Seed 1\n')
    await page.getByRole('link', { name: 'Back to the first page' }).click()
    t.equal(page.url(), `${base}/`)

    const filter = page.getByRole('search')
    await filter.getByLabel('Search').fill('seed-2')
    await filter.getByLabel('Status').selectOption('Placed')
    await filter.getByText('More filters').click()
    await filter.getByLabel('Least amount').fill('25')
    await filter.getByRole('button', { name: 'Filter' }).click()
    t.equal(await rows(page).count(), 5)
    await page.reload()
    t.equal(await page.getByLabel('Least amount').inputValue(), '25', 'the address keeps the filter')

    t.same(complaints, [])
    await close()
  })
}

t.test('everything can be done with the keyboard, and shows where it is', async (t) => {
  const { page, complaints, close } = await openPage(browser, { viewport: desktop, reducedMotion: 'reduce' })
  await page.goto(base)
  await page.keyboard.press('Tab')
  t.equal(await focused(page), 'Skip to the content')
  await page.keyboard.press('Enter')
  const seen: string[] = []
  while (!seen.includes('Amount')) {
    await page.keyboard.press('Tab')
    seen.push(await focused(page))
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle)
    if (outline === 'none') t.fail(`the focus on ${seen.at(-1)} is not visible`)
    if (seen.length > 200) throw new Error(`Amount is not among ${seen}`)
  }
  t.ok(seen.includes('As a table') && seen.includes('Filter') && seen.includes('Older orders'))
  await page.keyboard.type('3.25')
  await page.keyboard.press('Enter')
  await page.waitForURL(/done=placed/)
  t.equal(
    await page.getByRole('button', { name: 'Confirm order' }).evaluate((it) => getComputedStyle(it).transitionDuration),
    '0s',
  )
  t.same(complaints, [])
  await close()
})

t.test('no page breaks a rule of axe-core, or needs to be scrolled sideways', async (t) => {
  await placeByApi({ id: 'long', amount: 999_999_999_999.99, description: 'w'.repeat(2000), metadata: { k: 'v' } })
  const addresses = ['/', '/?amount_min=x&q=seed', '/?q=nothing', '/ui/place-order', '/ui/usage', '/ui/orders/seed-1']
  addresses.push('/ui/orders/long?done=placed', '/ui/orders/none', '/errors', '/errors/AMOUNT_INVALID', '/nowhere')
  for (const colorScheme of ['light', 'dark'] as const) {
    for (const viewport of [narrowest, phone, desktop]) {
      const { page, complaints, close } = await openPage(browser, { colorScheme, viewport })
      for (const address of addresses) {
        const what = `${address} in ${colorScheme} at ${viewport.width} px`
        await page.goto(base + address)
        await page.evaluate(() => {
          for (const details of document.querySelectorAll('details')) details.open = true
        })
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        if (overflow > 0) t.fail(`${what} is ${overflow} px too wide`)
        if (viewport !== narrowest) t.same(await accessibilityFaults(page), [], what)
      }
      t.same(complaints, [])
      await close()
    }
  }
  const { page, close } = await openPage(browser, { viewport: phone })
  await page.goto(base)
  await page.evaluate(() => document.querySelector('label')?.remove())
  t.match((await accessibilityFaults(page)).join('\n'), /^label:/m, 'a missing label is found')
  await close()
})

t.test('a policy that is broken is noticed in the browser and told to the service', async (t) => {
  const { page, complaints, close } = await openPage(browser, {})
  await page.goto(base)
  t.notMatch(service.output.stdout, 'a page broke its policy', 'none was so far')
  await page.evaluate(() => {
    const style = document.createElement('style')
    style.textContent = 'body { color: red }'
    document.head.append(style)
  })
  await page.waitForFunction(() => getComputedStyle(document.body).color !== 'red')
  t.match(complaints.join('\n'), 'Broken policy: style-src-elem inline')
  const report = [{ body: { effectiveDirective: 'style-src-elem', blockedURL: 'inline', documentURL: base } }]
  const headers = { 'content-type': 'application/reports+json' }
  await fetch(`${base}/ui/csp-reports`, { method: 'POST', headers, body: JSON.stringify(report) })
  for (
    const deadline = Date.now() + 5000;
    !service.output.stdout.includes('a page broke its policy');
    await delay(20)
  ) {
    if (Date.now() > deadline) throw new Error('The service wrote nothing about the report.')
  }
  await close()
})

t.test('another site cannot send our forms; a plain http address of ours can', async (t) => {
  const { page, close } = await openPage(browser, {})
  const ours = base.replace('localhost', foreignHost)
  await page.goto(`${ours}/ui/place-order`)
  await page.getByLabel('Amount').fill('4')
  await page.getByRole('button', { name: 'Place order' }).click()
  t.match(page.url(), `${ours}/ui/orders/`)

  const theirs = `<form method="post" action="${base}/ui/orders"><input name="amount" value="6"><button>Win</button></form>`
  await page.route('http://evil.test/', (route) => route.fulfill({ contentType: 'text/html', body: theirs }))
  await page.goto(base)
  await page.goto('http://evil.test/')
  await page.getByRole('button').click()
  t.equal(await page.getByRole('heading', { level: 1 }).innerText(), 'Request from another site')
  await close()
})

const rows = (page: Page) => page.getByRole('table').getByRole('rowgroup').last().getByRole('row')

/** What a screen reader would call the element that has the focus. */
const focused = (page: Page) =>
  page.evaluate(() => {
    const element = document.activeElement as HTMLInputElement
    return (element.labels?.[0] ?? element).textContent?.trim() ?? ''
  })
