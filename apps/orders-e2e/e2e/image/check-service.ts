import { setTimeout as delay } from 'node:timers/promises'

/** Waits until the service answers. Throws an Error after `ms`, or as soon as `gone` says that it has ended. */
export async function untilAlive(base: URL, ms: number, gone: () => boolean): Promise<void> {
  const deadline = Date.now() + ms
  for (;;) {
    const answer = await fetch(new URL('/readyz', base), { signal: AbortSignal.timeout(2000) }).catch(() => undefined)
    if (answer?.ok) return
    if (gone()) throw new Error('It ended before it was ready: see its output above.')
    if (Date.now() > deadline) throw new Error(`${base} is not ready after ${ms} ms.`)
    await delay(100)
  }
}

/**
 * What is wrong with a service that answers at `base` and is measured at `admin`: health, then a page, then the very
 * request in the metrics. Empty when nothing is. `commit`, if given, is what it must say it was built from.
 */
export async function checkService(base: URL, admin: URL, commit?: string): Promise<string[]> {
  const faults: string[] = []
  const health = await get(new URL('/health', base))
  if (health.status !== 200) faults.push(`/health answers ${health.status}`)
  const seen = pages(await get(new URL('/metrics', admin)))
  const page = await get(new URL('/', base))
  if (page.status !== 200) faults.push(`/ answers ${page.status}`)
  if (!/<h1[ >]/.test(page.text)) faults.push('/ is not a page with a heading')
  const now = pages(await get(new URL('/metrics', admin)))
  if (!(now > seen)) faults.push(`/metrics does not count the request for /: ${seen} before it, ${now} after it`)
  if (commit !== undefined) {
    const version = await get(new URL('/version', base))
    if (!version.text.includes(`"${commit}"`)) faults.push(`/version does not tell ${commit}: ${version.text}`)
  }
  return faults
}

/** What is wrong with a worker that is measured at `admin`. Empty when nothing is. */
export async function checkWorker(admin: URL): Promise<string[]> {
  const { text } = await get(new URL('/metrics', admin))
  return /^orders_events_lag_seconds \d/m.test(text) ? [] : [`/metrics of the worker does not tell its lag: ${text}`]
}

async function get(url: URL): Promise<{ status: number; text: string }> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(10_000) })
    return { status: answer.status, text: await answer.text() }
  } catch (error) {
    return { status: 0, text: (error as Error).message }
  }
}

/** How often the page was asked for, by the service's own count. */
function pages({ text }: { text: string }): number {
  const series = text.split('\n').filter((line) => /^http_requests_total\{[^}]*handler="\/"/.test(line))
  return series.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}
