import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto'
import { newOrganisation } from '@orders/database/testing'
import type pg from 'pg'
import t from 'tap'
import { createDeadLetters } from '../src/dead-letters.ts'
import { createPruning } from '../src/prune.ts'
import { defaultQuotas } from '../src/quotas.ts'
import { newWebhookKey, publicKeyOf, secretOf } from '../src/webhook-keys.ts'
import { startWebhooks } from './receivers.ts'
import { claimOf, outcomeOf, rowsOf } from './service.ts'

const page = { limit: 50 }
const url = 'https://example.com/hook'
const any = () => true

t.test('no webhook is made for an organisation that is deleted meanwhile', async (t) => {
  const { webhooks, org, admin } = await startWebhooks(t)
  await admin.query('DELETE FROM organisations WHERE id = $1', [org])
  t.equal(await outcomeOf(webhooks.createWebhook(org, { url })), 'ORG_NOT_FOUND')
})

t.test('a webhook is made, shown without its secret, changed and deleted', async (t) => {
  const { webhooks, org, newWebhook } = await startWebhooks(t)
  const made = await newWebhook(url, { description: 'Shop', event_types: ['orders.order.placed.v1'] })
  t.match(made, {
    org_id: org,
    url,
    description: 'Shop',
    event_types: ['orders.order.placed.v1'],
    signature: 'ed25519',
    secret: null,
    public_key: /^whpk_[A-Za-z0-9+/]{43}=$/,
    previous_public_key: null,
    enabled: true,
    disabled_reason: null,
    version: 1,
    created_at: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/,
  })
  const { secret, ...shown } = made
  t.strictSame(await webhooks.getWebhook(org, made.id), shown)
  const shared = await newWebhook(url, { signature: 'hmac' })
  t.match(shared, { signature: 'hmac', public_key: null, secret: /^whsec_[A-Za-z0-9+/]{43}=$/, event_types: null })
  const listed = await webhooks.listWebhooks(org, page)
  t.strictSame(
    listed.data.map(({ id }) => id),
    [shared.id, made.id],
  )
  t.notMatch(JSON.stringify(listed), shared.secret?.slice(6, 30) ?? 'nothing')

  t.match(await webhooks.changeWebhook(org, made.id, { description: null, event_types: null }, any), {
    description: null,
    event_types: null,
    url,
    version: 2,
  })
  t.equal(await outcomeOf(webhooks.changeWebhook(org, made.id, { url }, (now) => now === 1)), 'PRECONDITION_FAILED')
  t.match(await webhooks.changeWebhook(org, made.id, { enabled: false }, any), {
    enabled: false,
    disabled_reason: 'paused',
    disabled_at: /Z$/,
  })
  t.equal(await outcomeOf(webhooks.testWebhook(org, made.id)), 'WEBHOOK_DISABLED')
  t.match(await webhooks.changeWebhook(org, made.id, { enabled: true }, any), { enabled: true, disabled_reason: null })
  await webhooks.removeWebhook(org, made.id)
  t.equal(await outcomeOf(webhooks.removeWebhook(org, made.id)), 'WEBHOOK_NOT_FOUND')
})

t.test('keys: what is shown verifies what the stored one signs', async (t) => {
  const key = newWebhookKey('ed25519')
  t.equal(key.length, 32)
  const der = { format: 'der', type: 'pkcs8' } as const
  const privateKey = createPrivateKey({
    ...der,
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), key]),
  })
  const x = Buffer.from(publicKeyOf(key).slice(5), 'base64').toString('base64url')
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  t.ok(verify(null, Buffer.from('message'), publicKey, sign(null, Buffer.from('message'), privateKey)))
  t.equal(secretOf(Buffer.alloc(32)), `whsec_${'A'.repeat(43)}=`)
})

t.test('addresses that nothing is sent to', async (t) => {
  const { webhooks, org, newWebhook } = await startWebhooks(t)
  t.equal(await outcomeOf(newWebhook('https://nowhere.example')), 'WEBHOOK_URL_REFUSED')
  const { id } = await newWebhook(url)
  t.equal(
    await outcomeOf(webhooks.changeWebhook(org, id, { url: 'https://nowhere.example' }, any)),
    'WEBHOOK_URL_REFUSED',
  )
  await t.resolves(webhooks.changeWebhook(org, id, { description: 'x' }, any))
})

t.test('a key makes one webhook, and an organisation has a limit, also for those who come at once', async (t) => {
  const { webhooks, org, newWebhook } = await startWebhooks(t)
  const asked = { url, signature: 'hmac' } as const
  const once = {
    claim: claimOf('the-key-of-a-webhook', asked),
    answerFor: (made: object) => ({ status: 201, headers: {}, body: JSON.stringify(made) }),
  }
  const first = await webhooks.createWebhook(org, asked, once)
  const second = await webhooks.createWebhook(org, asked, once)
  t.equal(second.replayed, true)
  t.strictSame(second.answer, first.answer)
  const many = await Promise.all(Array.from({ length: defaultQuotas.webhooks + 5 }, () => outcomeOf(newWebhook(url))))
  t.equal(many.filter((it) => it === 'QUOTA_EXCEEDED').length, 6)
  t.equal((await webhooks.listWebhooks(org, { limit: 200 })).data.length, defaultQuotas.webhooks)
})

t.test('another organisation has no webhooks here', async (t) => {
  const { webhooks, org, url: database, newWebhook } = await startWebhooks(t)
  const other = await newOrganisation(database)
  const { id } = await newWebhook(url)
  const delivery = await webhooks.testWebhook(org, id)
  t.strictSame(await webhooks.listWebhooks(other, page), { data: [], next_cursor: null })
  for (const work of [
    () => webhooks.getWebhook(other, id),
    () => webhooks.changeWebhook(other, id, { enabled: false }, any),
    () => webhooks.rotateSecret(other, id),
    () => webhooks.removeWebhook(other, id),
    () => webhooks.testWebhook(other, id),
    () => webhooks.listDeliveries(other, id, page),
  ]) {
    t.equal(await outcomeOf<unknown>(work()), 'WEBHOOK_NOT_FOUND')
  }
  t.equal(await outcomeOf(webhooks.resend(other, delivery.id)), 'DELIVERY_NOT_FOUND')
  await newWebhook(url)
  const { next_cursor } = await webhooks.listWebhooks(org, { limit: 1 })
  t.equal(await outcomeOf(webhooks.listWebhooks(other, { limit: 1, cursor: next_cursor ?? '' })), 'CURSOR_INVALID')
})

t.test('each event is queued once for each webhook that wants it', async (t) => {
  const { webhooks, orders, org, url: database, admin, another, newWebhook, placeIn } = await startWebhooks(t)
  const other = await newOrganisation(database)
  const all = await newWebhook(url)
  const some = await newWebhook(url, { event_types: ['orders.order.confirmed.v1', 'orders.order.cancelled.v1'] })
  const paused = await newWebhook(url)
  await webhooks.changeWebhook(org, paused.id, { enabled: false }, any)
  const foreign = await newWebhook(url, {}, other)
  await placeIn(org, 'a')
  await orders.changeStatus(org, 'a', 'confirm')
  await placeIn(other, 'b')
  const { relay, fanOut } = another()
  t.equal(await relay.move(), 3)
  t.equal(await fanOut(), 5)
  t.equal(await fanOut(), 0)
  const queued = (id: string) =>
    rowsOf(
      admin,
      'SELECT org_id, order_id, sequence, type FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY sequence',
      [id],
    )
  const placed = { org_id: org, order_id: 'a', sequence: 1, type: 'orders.order.placed.v1' }
  const confirmed = { org_id: org, order_id: 'a', sequence: 2, type: 'orders.order.confirmed.v1' }
  t.strictSame(await queued(all.id), [placed, confirmed])
  t.strictSame(await queued(some.id), [confirmed])
  t.strictSame(await queued(paused.id), [])
  t.strictSame(await queued(foreign.id), [{ ...placed, org_id: other, order_id: 'b' }])

  const first = await webhooks.listDeliveries(org, all.id, { limit: 1 })
  t.match(first.data, [{ order_id: 'a', sequence: 2, state: 'pending', attempts: 0, last_status: null }])
  const rest = await webhooks.listDeliveries(org, all.id, { limit: 1, cursor: first.next_cursor ?? '' })
  t.match(rest, { data: [{ order_id: 'a', sequence: 1 }], next_cursor: null })

  await webhooks.removeWebhook(org, all.id)
  t.strictSame(await queued(all.id), [], 'what was queued for it is gone')
  const [left] = (await webhooks.listDeliveries(org, some.id, page)).data
  await admin.query('DELETE FROM webhooks WHERE id = $1', [some.id])
  t.equal(await outcomeOf(webhooks.resend(org, left?.id ?? '')), 'DELIVERY_NOT_FOUND', 'nor is what a deleted one left')
})

t.test('a backlog of a webhook becomes deliveries only as its receiver is sent them', async (t) => {
  const { org, admin, another, newWebhook, url: database } = await startWebhooks(t)
  const { id } = await newWebhook(url)
  const other = await newOrganisation(database)
  const quiet = await newWebhook(url, {}, other)
  const { relay, fanOut } = another()
  await importOrders(admin, org, 3000)
  while ((await relay.move()) > 0);

  while ((await fanOut()) > 0);

  const due = 'SELECT count(*)::int AS due FROM webhook_deliveries WHERE webhook_id = $1'
  t.strictSame(await rowsOf(admin, due, [id]), [{ due: 500 }])
  t.match(await rowsOf(admin, 'SELECT sum(events)::int AS events FROM webhook_fanouts'), [{ events: 2500 }])

  t.comment('another webhook gets its deliveries meanwhile')
  await importOrders(admin, other, 1)
  await relay.move()
  t.equal(await fanOut(), 1)
  t.strictSame(await rowsOf(admin, due, [quiet.id]), [{ due: 1 }])

  t.comment('what was sent, or waits for its next attempt, makes room')
  const settle = `UPDATE webhook_deliveries SET state = CASE WHEN n % 2 = 0 THEN 'delivered' ELSE 'pending' END,
      due_at = now() + interval '1 minute'
    FROM (SELECT id AS found, row_number() OVER () AS n FROM webhook_deliveries WHERE webhook_id = $1) WHERE id = found`
  for (let made = 500; made < 3000; made += 500) {
    await admin.query(settle, [id])
    t.strictSame([await fanOut(), await fanOut()], [1, 0])
  }
  t.strictSame(await rowsOf(admin, due, [id]), [{ due: 3000 }])
  t.match(await rowsOf(admin, 'SELECT count(DISTINCT order_id)::int AS orders FROM webhook_deliveries'), [
    { orders: 3000 },
  ])
})

t.test('the events that wait for a webhook end with it', async (t) => {
  const { webhooks, org, admin, another, newWebhook, placeIn } = await startWebhooks(t)
  const { id } = await newWebhook(url)
  const { relay, fanOut } = another()
  await placeIn(org, 'a')
  await relay.move()
  await webhooks.removeWebhook(org, id)

  t.equal(await fanOut(), 1)

  t.strictSame(await rowsOf(admin, 'SELECT FROM webhook_deliveries'), [])
  t.strictSame(await rowsOf(admin, 'SELECT FROM webhook_fanouts'), [])
})

/** Orders with their events and rows of the outbox, 500 in each, as an import writes them. */
const importOrders = (admin: pg.Client, org: string, count: number) =>
  admin.query(
    `WITH placed AS (
      INSERT INTO orders (org_id, id, amount, currency)
      SELECT $1, 'o-' || i, 1, 'EUR' FROM generate_series(1, $2::int) AS i RETURNING *
    ), event AS (
      INSERT INTO order_events (org_id, order_number, sequence, type, status, metadata)
      SELECT org_id, number, 1, 'orders.order.placed.v1', status, metadata FROM placed
    )
    INSERT INTO outbox (org_id, sequence, order_ids, events)
    SELECT org_id, 1, array_agg(id), count(*) FROM (SELECT *, row_number() OVER () AS n FROM placed)
    GROUP BY org_id, (n - 1) / 500`,
    [org, count],
  )

t.test('a month ends deliveries', async (t) => {
  const { webhooks, org, admin, another, newWebhook } = await startWebhooks(t)
  const { id } = await newWebhook(url)
  await webhooks.testWebhook(org, id)
  await webhooks.testWebhook(org, id)
  await admin.query(
    "UPDATE webhook_deliveries SET created_at = now() - interval '30 days 1 minute' WHERE id = (SELECT min(id::text)::uuid FROM webhook_deliveries)",
  )
  t.equal(await createPruning(another().database).prune(), 1)
  t.equal((await webhooks.listDeliveries(org, id, page)).data.length, 1)
})

t.test('a dead letter is listed, and goes back into the queue of its order once', async (t) => {
  const { orders, org, url: database, admin, database: app, another, placeIn } = await startWebhooks(t)
  const letters = await createDeadLetters(app)
  const { relay } = another()
  await placeIn(org, 'a')
  await orders.changeStatus(org, 'a', 'confirm')
  await relay.move()
  const lanes = await rowsOf(admin, 'SELECT DISTINCT lane FROM event_queue')
  await admin.query(`WITH gone AS (DELETE FROM event_queue WHERE sequence = 1 RETURNING *)
    INSERT INTO dead_letters (org_id, order_id, sequence, attempts, reason)
    SELECT org_id, order_id, sequence, 5, 'will not do' FROM gone`)
  const { data } = await letters.listDeadLetters(org, page)
  t.match(data, [{ order_id: 'a', sequence: 1, attempts: 5, reason: 'will not do', created_at: /Z$/ }])
  const id = data[0]?.id ?? ''
  const other = await newOrganisation(database)
  t.strictSame((await letters.listDeadLetters(other, page)).data, [])
  t.equal(await outcomeOf(letters.replay(other, id)), 'DEAD_LETTER_NOT_FOUND')
  await letters.replay(org, id)
  t.equal(await outcomeOf(letters.replay(org, id)), 'DEAD_LETTER_NOT_FOUND')
  t.strictSame((await letters.listDeadLetters(org, page)).data, [])
  t.strictSame(await rowsOf(admin, 'SELECT DISTINCT lane FROM event_queue'), lanes)
  t.equal(await relay.relay(), 2)
})
