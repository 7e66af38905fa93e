/// <reference lib="dom" />
import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { place, send } from '../src/faults/http.ts'
import { startService, startWorker } from '../src/faults/service-process.ts'
import { accessibilityFaults, launchChromium, openPage } from './pages/browser.ts'

const { url: DATABASE_URL } = await createScratchDatabase(t)
const browser = await launchChromium()
const service = startService({ DATABASE_URL, HOST: 'localhost', DRAIN_DELAY_MS: '0' })
const worker = startWorker({ DATABASE_URL })
t.teardown(async () => {
  await browser.close()
  for (const it of [service, worker]) {
    it.kill('SIGTERM')
    await it.exited
  }
})
const base = await service.ready()
const newOrder = (id: string) => place(base, `live-key-${id.padStart(10, '0')}`, { id, amount: 5 })

t.test('an open page shows what happens to its orders', async (t) => {
  await newOrder('first')
  const { page, complaints, close } = await openPage(browser, {})
  const begun = page.waitForResponse((answer) => answer.url().endsWith('/ui/orders/stream'))
  await page.goto(base)
  await begun
  const row = page.getByRole('row').filter({ hasText: 'first' })
  await row.locator('.chip.confirmed').waitFor()
  await send(`${base}/orders/first/complete`, { method: 'POST' })
  await row.locator('.chip.completed').waitFor()
  t.equal(await row.locator('.chip').innerText(), 'completed')

  await newOrder('second')
  await newOrder('third')
  const note = page.getByRole('status').filter({ hasText: 'There are 2 new orders.' })
  await note.waitFor()
  t.strictSame(await accessibilityFaults(page), [])
  await note.getByRole('link', { name: 'Show them' }).click()
  await page.getByRole('row').filter({ hasText: 'third' }).waitFor()

  await page.goto(`${base}/ui/orders/second`)
  await page.locator('header .chip.confirmed').waitFor()
  await send(`${base}/orders/second/cancel`, { method: 'POST' })
  await page.locator('header .chip.cancelled').waitFor()
  await page.getByRole('link', { name: 'Show it as it is now' }).click()
  t.match(await page.locator('main').innerText(), /cancelled/)
  t.strictSame(complaints, [])
  await close()
})
