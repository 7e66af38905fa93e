import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { type BrowserUser, signInOnPages } from '../src/faults/browser-user.ts'
import { until } from '../src/faults/careless-database.ts'
import { call, newGuestKeys, newOrg, setRole, signToken } from '../src/faults/guests.ts'
import type { Answer } from '../src/faults/http.ts'
import { ndjson, type Open, openResponse, placeLarge } from '../src/faults/open-response.ts'
import { serve } from '../src/faults/service-process.ts'
import { connect } from '../src/faults/session.ts'

/** Milliseconds in which a response ends after its access is revoked. */
const endMs = 30_000
const tokenSeconds = 3600
t.setTimeout(180_000)

type Kind = 'stream' | 'page' | 'export' | 'import'

function open(at: string, kind: Kind, { browser }: BrowserUser, headers: Record<string, string>): Promise<Open> {
  const orders = `${at}/api/v1/orders`
  if (kind === 'stream') return openResponse(`${orders}/stream`, { headers })
  if (kind === 'page') return openResponse(`${at}/ui/orders/stream`, { headers: { cookie: browser.cookie() } })
  if (kind === 'export') return openResponse(`${orders}/export?format=ndjson`, { headers, reads: false })
  return openResponse(`${orders}/import`, {
    method: 'POST',
    headers: { ...ndjson, ...headers },
    body: '{}\n',
    more: true,
  })
}

/** Resolves to how the response ended, once the service has ended it. */
async function endOf(kind: Kind, { response, ended }: Open, user: BrowserUser): Promise<string> {
  if (kind === 'export') {
    // A client that does not read does not find out, but the user may export again.
    await until(async () => (await call(url, user, 'GET', '/orders/export?format=csv')).status === 200)
    response.resume()
  }
  const { text, complete } = await ended
  if (kind === 'export') return complete ? 'complete' : 'broken off'
  return kind === 'import' ? (/"failure":\{"error":"(\w+)"/.exec(text)?.[1] ?? text) : text.slice(-100)
}

const ends: Record<Kind, RegExp> = {
  stream: /event: end\ndata: \{"reason":"you may no longer listen"\}\n\n$/,
  page: /event: end\ndata: \{"reason":"you may no longer listen"\}\n\n$/,
  export: /^broken off$/,
  import: /^(ORG_NOT_FOUND|ROLE_REQUIRED)$/,
}

/** The control: a response whose access nobody checks again goes on. */
async function assertGoesOn(t: Test, kind: Kind, { request, response, text, ended }: Open, name: string) {
  if (kind === 'import') {
    request.end(JSON.stringify({ id: `after-${randomUUID()}`, amount: 1 }))
    t.match((await ended).text, /"placed_count":1[,}]/, name)
  } else if (kind === 'export') {
    response.resume()
    t.equal((await ended).complete, true, name)
  } else {
    const before = text().length
    await until(async () => text().length > before) // a heartbeat
    t.notMatch(text(), /event: end/, name)
  }
}

type Case = {
  kinds: Kind[]
  revoke: (owner: BrowserUser, orgId: string, member: BrowserUser) => Promise<Answer | undefined>
  /** Of the token of the API. */
  lifetimeSeconds?: number
  isNewOrg?: boolean
}

const cases: Record<string, Case> = {
  'the member is removed': {
    kinds: ['stream', 'page', 'export', 'import'],
    revoke: (owner, orgId, { id }) => call(url, owner, 'DELETE', `/orgs/${orgId}/members/${id}`),
  },
  'the role is lowered': {
    kinds: ['import'],
    revoke: (owner, orgId, { id }) => call(url, owner, 'PUT', `/orgs/${orgId}/members/${id}`, { role: 'viewer' }),
  },
  'the session ends': { kinds: ['page'], revoke: (_owner, _orgId, { browser }) => browser.submit('/sign-out') },
  'the token expires': { kinds: ['stream', 'export'], lifetimeSeconds: 2, revoke: async () => undefined },
  'the organisation is deleted': {
    kinds: ['stream', 'page', 'import'],
    isNewOrg: true, // one with orders cannot be deleted
    revoke: (owner, orgId) => call(url, owner, 'DELETE', `/orgs/${orgId}`),
  },
}

const { url: DATABASE_URL } = await createScratchDatabase(t)
const GUEST_KEYS = newGuestKeys()
const settings = { DATABASE_URL, GUEST_KEYS, RATE_LIMITS: 'off', AUTH_MODE: 'required' }
const { url } = await serve(t, settings)
const unchecked = await serve(t, { ...settings, ...preloaded('without-access-checks.ts?rechecks') })
const admin = await connect(t, DATABASE_URL)
const newUser = () => signInOnPages(url, admin, GUEST_KEYS)
const owner = await newUser()
await placeLarge(`${url}/api/v1`, 800, { authorization: owner.authorization })

/** The same responses of the service, and of one that does not check them again, lose their access at the same time. */
async function attack(t: Test, name: string, { kinds, revoke, lifetimeSeconds = tokenSeconds, isNewOrg }: Case) {
  const member = await newUser()
  const orgId = isNewOrg ? await newOrg(url, owner) : owner.orgId
  await setRole(url, owner, member, 'member', orgId)
  await member.browser.submit('/ui/organisation', { org_id: orgId })
  const authorization = `Bearer ${signToken(GUEST_KEYS, member.id, lifetimeSeconds)}`
  const headers = { authorization, 'x-org-id': orgId }
  const openAll = (at: string) =>
    Promise.all(kinds.map(async (kind) => ({ kind, opened: await open(at, kind, member, headers) })))
  const [responses, kept] = await Promise.all([openAll(url), openAll(unchecked.url)])
  for (const { kind, opened } of [...responses, ...kept]) t.equal(opened.response.statusCode, 200, `${name}: ${kind}`)

  const answer = await revoke(owner, orgId, member)
  if (answer) t.ok(answer.status < 400, `${name}: ${answer.status} ${answer.body}`)

  const ending = responses.map(async ({ kind, opened }) => {
    const late = delay(endMs, 'not within 30 s', { ref: false })
    t.match(await Promise.race([endOf(kind, opened, member), late]), ends[kind], `${name}: the ${kind} ends`)
  })
  await Promise.all(ending)
  // Nothing can be placed where there is no organisation.
  const going = kept.filter(({ kind }) => !(isNewOrg && kind === 'import'))
  await Promise.all(
    going.map(({ kind, opened }) => assertGoesOn(t, kind, opened, `control: ${name}: the ${kind} goes on`)),
  )
}

t.test('a response that lasts ends within 30 s after its access is revoked', async (t) => {
  await Promise.all(Object.entries(cases).map(([name, revocation]) => attack(t, name, revocation)))
})
