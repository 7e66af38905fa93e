import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

const quiet = ['--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** A host that no browser takes for its own machine: to it, as to any other over plain http, fewer headers are sent. */
export const foreignHost = 'orders.test'

/** Throws a sentence that says what to do if there is no Chromium. */
export async function launchChromium(executablePath = '/usr/bin/chromium'): Promise<Browser> {
  if (!existsSync(executablePath)) {
    throw new Error(
      `The pages are tested in Chromium, and there is no ${executablePath}: run apt-get install chromium.`,
    )
  }
  const rules = `--host-resolver-rules=MAP ${foreignHost} 127.0.0.1`
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu', rules, ...quiet] })
}

/** A page, and what its console complained of, broken policies included. */
export async function openPage(browser: Browser, options: BrowserContextOptions) {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const complaints: string[] = []
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type())) return
    const refusal = /^Failed to load resource: the server responded with a status of 4\d\d/.test(message.text())
    // Chromium calls each page that answers a refusal a failed resource; only that is as it should be.
    if (!(refusal && message.location().url === page.url())) complaints.push(message.text())
  })
  page.on('pageerror', (error) => complaints.push(error.message))
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => {
      console.error(`Broken policy: ${event.effectiveDirective} ${event.blockedURI}`)
    })
  })
  return { page, complaints, close: () => context.close() }
}

/** What axe-core finds wrong with the page as it stands: a line a rule. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  const violations = await page.evaluate(async () => {
    type Axe = { run(): Promise<{ violations: { id: string; help: string; nodes: { html: string }[] }[] }> }
    return (await (globalThis as unknown as { axe: Axe }).axe.run()).violations
  })
  return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join(' ')}`)
}
