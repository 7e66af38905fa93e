import { randomUUID } from 'node:crypto'
import pg from 'pg'
import t from 'tap'
import { newGuestKeys } from '../src/access/guest-tokens.ts'
import { startService } from './service.ts'

const service = await startService(t, { GUEST_KEYS: await newGuestKeys('test-key'), AUTH_MODE: 'required' })
const { send } = service
const admin = new pg.Client({ connectionString: service.url })
await admin.connect()
t.teardown(() => admin.end())

const url = 'https://example.com/hook'

async function signIn() {
  const { json } = await send('POST', '/api/v1/auth/guest')
  const home = json.org.id as string
  const call = (method: string, path: string, body?: object, headers = {}) =>
    send(method, `/api/v1${path}`, {
      headers: { authorization: `Bearer ${json.access_token}`, ...headers },
      ...(body && { body }),
    })
  return { id: json.user.id as string, home, call }
}

const owner = await signIn()
const stranger = await signIn()
const member = await signIn()
const viewer = await signIn()
for (const [person, role] of [
  [member, 'member'],
  [viewer, 'viewer'],
] as const) {
  await owner.call('PUT', `/orgs/${owner.home}/members/${person.id}`, { role })
}
const here = { 'x-org-id': owner.home }

t.test('the life of a webhook', async (t) => {
  const made = await owner.call('POST', '/webhooks', { url, event_types: ['orders.order.placed.v1'] })
  t.match(made, { status: 201, json: { url, enabled: true, signature: 'ed25519', secret: null, public_key: /^whpk_/ } })
  const path = `/webhooks/${made.json.id}`
  t.equal(made.headers.location, `/api/v1${path}`)
  const read = await owner.call('GET', path)
  const { secret: _, ...shown } = made.json
  t.match(read, { status: 200, headers: { etag: '"1"' } })
  t.strictSame(read.json, shown)

  const pause = { enabled: false }
  t.match(await owner.call('PATCH', path, pause), { status: 428 })
  t.match(await owner.call('PATCH', path, pause, { 'if-match': '"7"' }), { status: 412 })
  t.match(await owner.call('PATCH', path, pause, { 'if-match': '"1"' }), {
    status: 200,
    headers: { etag: '"2"' },
    json: { enabled: false, disabled_reason: 'paused', event_types: ['orders.order.placed.v1'] },
  })
  t.match(await owner.call('POST', `${path}/test`), { status: 409, json: { error: 'WEBHOOK_DISABLED' } })
  t.match(await owner.call('PATCH', path, { enabled: true, event_types: null }, { 'if-match': '*' }), {
    json: { enabled: true, event_types: null },
  })
  const sent = await owner.call('POST', `${path}/test`)
  t.match(sent, { status: 202, json: { state: 'pending', order_id: null, type: 'orders.webhook.test.v1' } })
  const log = await owner.call('GET', `${path}/deliveries`)
  t.match(log, { status: 200, json: { data: [{ id: sent.json.id, attempts: 0 }], next_cursor: null } })
  t.match(await owner.call('POST', `/deliveries/${sent.json.id}/resend`), { status: 202, json: { id: sent.json.id } })
  t.match(await owner.call('POST', `/deliveries/${sent.json.id}/resend`, { now: true }), { status: 400 })
  t.match(await owner.call('DELETE', path), { status: 204 })
  for (const [method, gone] of [
    ['GET', path],
    ['DELETE', path],
    ['GET', `${path}/deliveries`],
    ['POST', `${path}/test`],
    ['POST', `${path}/rotate-secret`],
  ] as const) {
    t.match(await owner.call(method, gone), { status: 404, json: { error: 'WEBHOOK_NOT_FOUND' } }, `${method} ${gone}`)
  }
  t.match(await owner.call('POST', `/deliveries/${sent.json.id}/resend`), { json: { error: 'DELIVERY_NOT_FOUND' } })
})

t.test(
  'a shared secret is shown when it is made and rotated, to who asks with the same key again, and never else',
  async (t) => {
    const key = { 'idempotency-key': 'the-key-of-this-webhook' }
    const made = await owner.call('POST', '/webhooks', { url, signature: 'hmac' }, key)
    t.match(made.json, { secret: /^whsec_/, public_key: null })
    const again = await owner.call('POST', '/webhooks', { signature: 'hmac', url }, key)
    t.equal(again.text, made.text)
    t.equal(again.headers['idempotency-replayed'], 'true')
    t.match(await owner.call('POST', '/webhooks', { url }, key), { status: 422 })

    const path = `/webhooks/${made.json.id}`
    const rotated = await owner.call('POST', `${path}/rotate-secret`, undefined, key)
    t.match(rotated, { status: 201, json: { secret: /^whsec_/, previous_key_ends_at: /Z$/, version: 2 } })
    t.not(rotated.json.secret, made.json.secret)
    const repeated = await owner.call('POST', `${path}/rotate-secret`, undefined, key)
    t.equal(repeated.text, rotated.text, 'a retry does not rotate once more')
    const { rows } = await admin.query('SELECT key, previous_key FROM webhooks WHERE id = $1', [made.json.id])
    const texts = await Promise.all(
      [
        owner.call('GET', '/webhooks'),
        owner.call('GET', path),
        owner.call('PATCH', path, { description: 'x' }, { 'if-match': '*' }),
        owner.call('POST', `${path}/test`),
        owner.call('GET', `${path}/deliveries`),
        viewer.call('GET', '/webhooks', undefined, here),
        member.call('GET', path, undefined, here),
      ].map(async (answer) => (await answer).text),
    )
    for (const secret of [rows[0].key, rows[0].previous_key] as Buffer[]) {
      for (const text of texts) {
        t.notMatch(text, secret.toString('base64').slice(0, 20))
        t.notMatch(text, /"(key|previous_key|secret)"/)
      }
    }
  },
)

t.test('owners change webhooks, members and viewers look at them, nobody else does', async (t) => {
  const { json } = await owner.call('POST', '/webhooks', { url })
  const test = await owner.call('POST', `/webhooks/${json.id}/test`)
  const path = `/webhooks/${json.id}`
  const reads = [
    ['GET', '/webhooks'],
    ['GET', path],
    ['GET', `${path}/deliveries`],
  ] as const
  const writes = [
    ['POST', '/webhooks', { url }],
    ['PATCH', path, { enabled: false }],
    ['POST', `${path}/test`],
    ['POST', `${path}/rotate-secret`],
    ['POST', `/deliveries/${test.json.id}/resend`],
    ['DELETE', path],
  ] as const
  for (const person of [member, viewer]) {
    for (const [method, at] of reads) t.equal((await person.call(method, at, undefined, here)).status, 200, at)
    for (const [method, at, body] of writes) {
      const answer = await person.call(method, at, body, { ...here, 'if-match': '*' })
      t.match(answer, { status: 403, json: { error: 'ROLE_REQUIRED' } }, `${method} ${at}`)
    }
  }
  for (const [method, at, body] of [...reads, ...writes] as readonly (readonly [string, string, object?])[]) {
    const foreign = await stranger.call(method, at, body, { ...here, 'if-match': '*' })
    t.match(foreign, { status: 404, json: { error: 'ORG_NOT_FOUND' } }, `${method} ${at}`)
    if (at === '/webhooks') continue
    const athome = await stranger.call(method, at, body, { 'if-match': '*' })
    t.match(athome, { status: 404, json: { error: /^(WEBHOOK|DELIVERY)_NOT_FOUND$/ } }, `${method} ${at} at home`)
  }
  t.same((await stranger.call('GET', '/webhooks')).json.data, [])
})

t.test('addresses and event types that are not taken', async (t) => {
  const refused = [
    ...['http://example.com', 'https://u:p@example.com/', 'https://example.com:444', 'x'],
    ...['https://localhost/', 'http://localhost:9000/', 'https://127.0.0.1', 'file:///etc/passwd'],
  ]
  const { json } = await owner.call('POST', '/webhooks', { url })
  for (const url of refused) {
    const made = await owner.call('POST', '/webhooks', { url })
    t.match(made, { status: 400, json: { error: 'WEBHOOK_URL_REFUSED', errors: [{ path: '/url' }] } }, url)
    const changed = await owner.call('PATCH', `/webhooks/${json.id}`, { url }, { 'if-match': '*' })
    t.match(changed, { status: 400, json: { error: 'WEBHOOK_URL_REFUSED' } }, url)
  }
  for (const body of [
    {},
    { url: '' },
    { url, event_types: [] },
    { url, event_types: ['x'] },
    { url, signature: 'none' },
  ]) {
    t.match(await owner.call('POST', '/webhooks', body), { status: 400, json: { error: 'VALIDATION_FAILED' } })
  }
  const twice = ['orders.order.placed.v1', 'orders.order.placed.v1']
  t.match(await owner.call('POST', '/webhooks', { url, event_types: twice }), { status: 400 })
  while ((await owner.call('POST', '/webhooks', { url })).status === 201);
  t.match(await owner.call('POST', '/webhooks', { url }), {
    status: 403,
    json: { error: 'QUOTA_EXCEEDED', quota: { name: 'webhooks', used: 20, limit: 20 } },
  })
})

t.test('a laptop may send to itself, if it is told so', async (t) => {
  const { send } = await startService(t, {
    GUEST_KEYS: await newGuestKeys('test-key'),
    WEBHOOKS_ALLOW_LOOPBACK: 'true',
  })
  const guest = await send('POST', '/api/v1/auth/guest')
  const headers = { authorization: `Bearer ${guest.json.access_token}` }
  const make = (url: string) => send('POST', '/api/v1/webhooks', { headers, body: { url } })
  t.match(await make('http://localhost:9000/x'), { status: 201 })
  t.match(await make('http://10.0.0.1/x'), { status: 400 })
})

t.test('owners and members see dead letters, and replay them', async (t) => {
  const id = randomUUID()
  await owner.call('POST', '/orders', { id: 'dead-1', amount: 1 })
  await admin.query(
    `INSERT INTO dead_letters (org_id, id, order_id, sequence, attempts, reason) VALUES ($1, $2, 'dead-1', 1, 5, 'no')`,
    [owner.home, id],
  )
  const list = () => member.call('GET', '/dead-letters', undefined, here)
  t.match(await list(), { status: 200, json: { data: [{ id, order_id: 'dead-1', reason: 'no' }], next_cursor: null } })
  t.match(await viewer.call('GET', '/dead-letters', undefined, here), { status: 403 })
  t.same((await stranger.call('GET', '/dead-letters')).json.data, [])
  const replay = `/dead-letters/${id}/replay`
  t.match(await stranger.call('POST', replay), { status: 404, json: { error: 'DEAD_LETTER_NOT_FOUND' } })
  t.match(await viewer.call('POST', replay, undefined, here), { status: 403 })
  t.match(await member.call('POST', replay, undefined, here), { status: 204 })
  t.match(await owner.call('POST', replay), { status: 404, json: { error: 'DEAD_LETTER_NOT_FOUND' } })
  t.same((await list()).json.data, [])
  const { rows } = await admin.query("SELECT sequence FROM event_queue WHERE order_id = 'dead-1'")
  t.same(rows, [{ sequence: 1 }])
})
