import { isDeepStrictEqual, parseArgs } from 'node:util'

const help = `Shows that a running service works: healthy, and an order placed is the order read back. Cancels it afterwards.

Usage: node src/smoke.ts URL [--commit SHA]

  URL           Address of the service, such as https://orders.example.com/
  --commit SHA  The commit that /version must tell.`

const timeoutMs = 10_000

type Answer = { status: number; body: unknown }

try {
  const { positionals, values } = readArguments()
  if (values.help) console.log(help)
  else await smoke(serviceUrl(positionals), values.commit)
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

/** Throws an Error with one sentence that names what did not work. */
async function smoke(base: URL, commit: string | undefined): Promise<void> {
  const started = performance.now()
  await expectAnswer(base, 'health', 200)
  await expectAnswer(base, 'readyz', 200)
  const version = (await expectAnswer(base, 'version', 200)) as { commit?: string }
  if (commit !== undefined && version.commit !== commit) {
    throw new Error(`${base.href} runs commit ${version.commit}, not ${commit}: wait for the rollout, then try again.`)
  }

  const placed = (await expectAnswer(base, 'api/v1/orders', 201, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
    body: JSON.stringify({ amount: 1, description: 'Smoke test', metadata: { smoke: 'true' } }),
  })) as { id: string }
  const path = `api/v1/orders/${encodeURIComponent(placed.id)}`
  const found = await expectAnswer(base, path, 200)
  if (!isDeepStrictEqual(found, placed)) {
    throw new Error(`Order ${placed.id} was read back otherwise than it was placed: look for it in the service's log.`)
  }
  await expectAnswer(base, `${path}/cancel`, 200, { method: 'POST' })
  console.log(`Placed, read back and cancelled order ${placed.id} in ${Math.round(performance.now() - started)} ms.`)
}

async function expectAnswer(base: URL, path: string, status: number, init: RequestInit = {}): Promise<unknown> {
  const url = new URL(path, base)
  const request = `${init.method ?? 'GET'} ${url.href}`
  const answer = await send(url, init).catch((error: Error) => {
    throw new Error(`${request} got no answer (${reason(error)}): see that the service is up and its name resolves.`)
  })
  if (answer.status === status) return answer.body
  const title = (answer.body as { title?: string } | undefined)?.title
  throw new Error(`${request} answered ${answer.status}${title ? ` (${title})` : ''}, not ${status}.`)
}

async function send(url: URL, init: RequestInit): Promise<Answer> {
  const response = await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
  const text = await response.text()
  // A load balancer's error page is an answer too.
  const isJson = /^application\/(?:[a-z]+\+)?json\b/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, body: isJson ? JSON.parse(text) : undefined }
}

function reason(error: Error): string {
  const { code, message } = (error.cause ?? error) as NodeJS.ErrnoException
  return typeof code === 'string' ? code : message
}

function serviceUrl([url, ...more]: string[]): URL {
  if (url === undefined || more.length > 0 || !/^https?:\/\/[^/]/.test(url)) {
    throw new Error('Give the address of one service, such as https://orders.example.com/.')
  }
  return new URL(url.endsWith('/') ? url : `${url}/`)
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { commit: { type: 'string' }, help: { type: 'boolean' } },
    })
  } catch {
    throw new Error('Unknown argument: give the address of the service, and --commit SHA to ask for one.')
  }
}
