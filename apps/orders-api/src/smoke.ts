import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual, parseArgs } from 'node:util'

const help = `Shows that a running service works: healthy, and an order placed is the order read back. Cancels it afterwards.
Signs in as a new guest and works in the organisation of that guest, so that it meets nobody else's orders. A service that
takes no guests is asked without a token.

Usage: node src/smoke.ts URL [--commit SHA] [--token-file FILE]

  URL                Address of the service, such as https://orders.example.com/
  --commit SHA       The commit that /version must tell.
  --token-file FILE  Access token to work with, in place of a guest's.`

const timeoutMs = 10_000

type Answer = { status: number; body: unknown }

type PlacedOrder = { id: string; status: string; version: number; updated_at: string }

/** Who places the order, and the headers that say so. */
type Worker = { who: string; headers: Record<string, string> }

try {
  const { positionals, values } = readArguments()
  if (values.help) console.log(help)
  else await smoke(serviceUrl(positionals), values.commit, values['token-file'])
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}

/** Throws an Error with one sentence that names what did not work. */
async function smoke(base: URL, commit: string | undefined, tokenFile: string | undefined): Promise<void> {
  const started = performance.now()
  await expectAnswer(base, 'health', 200)
  await expectAnswer(base, 'readyz', 200)
  const version = (await expectAnswer(base, 'version', 200)) as { commit?: string }
  if (commit !== undefined && version.commit !== commit) {
    throw new Error(`${base.href} runs commit ${version.commit}, not ${commit}: wait for the rollout, then try again.`)
  }

  const { who, headers } = await (tokenFile === undefined ? signIn(base) : readToken(tokenFile))
  const placed = (await expectAnswer(base, 'api/v1/orders', 201, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json', 'idempotency-key': crypto.randomUUID() },
    body: JSON.stringify({ amount: 1, description: 'Smoke test', metadata: { smoke: 'true' } }),
  })) as PlacedOrder
  const path = `api/v1/orders/${encodeURIComponent(placed.id)}`
  const found = (await expectAnswer(base, path, 200, { headers })) as PlacedOrder
  if (!isDeepStrictEqual(asPlaced(found), asPlaced(placed))) {
    throw new Error(`Order ${placed.id} was read back otherwise than it was placed: look for it in the service's log.`)
  }
  await expectAnswer(base, `${path}/cancel`, 200, { method: 'POST', headers })
  const ms = Math.round(performance.now() - started)
  console.log(`Placed, read back and cancelled order ${placed.id} in ${ms} ms, ${who}.`)
}

/** An order without what the worker may have changed meanwhile, by confirming it. */
function asPlaced({ status, version, updated_at, ...placed }: PlacedOrder) {
  return placed
}

async function signIn(base: URL): Promise<Worker> {
  const { status, body } = await ask(base, 'api/v1/auth/guest', [201, 404], { method: 'POST' })
  if (status === 404) return { who: 'without a token', headers: {} }
  const { access_token, user } = body as { access_token: string; user: { name: string } }
  return { who: `as ${user.name}`, headers: { authorization: `Bearer ${access_token}` } }
}

async function readToken(file: string): Promise<Worker> {
  const token = await readFile(file, 'utf8').catch(({ code }: NodeJS.ErrnoException) => {
    throw new Error(`--token-file ${file} cannot be read (${code}): name a file that holds an access token.`)
  })
  return { who: 'with the token given', headers: { authorization: `Bearer ${token.trim()}` } }
}

async function expectAnswer(base: URL, path: string, status: number, init: RequestInit = {}): Promise<unknown> {
  return (await ask(base, path, [status], init)).body
}

async function ask(base: URL, path: string, statuses: number[], init: RequestInit): Promise<Answer> {
  const url = new URL(path, base)
  const request = `${init.method ?? 'GET'} ${url.href}`
  const answer = await send(url, init).catch((error: Error) => {
    throw new Error(`${request} got no answer (${reason(error)}): see that the service is up and its name resolves.`)
  })
  if (statuses.includes(answer.status)) return answer
  const title = (answer.body as { title?: string } | undefined)?.title
  throw new Error(`${request} answered ${answer.status}${title ? ` (${title})` : ''}, not ${statuses.join(' or ')}.`)
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
      options: { commit: { type: 'string' }, 'token-file': { type: 'string' }, help: { type: 'boolean' } },
    })
  } catch {
    throw new Error('Unknown argument: give the address of the service, then --commit SHA or --token-file FILE.')
  }
}
