import { type CloudEvent, HTTP } from 'cloudevents'
import { Webhook as StandardWebhook } from 'standardwebhooks'
import { Webhook as SvixWebhook } from 'svix'
import t from 'tap'
import { deliverOne } from './delivered.ts'

t.test('the public verification libraries accept a delivered message, and reject a changed one', async (t) => {
  const { headers, body, webhook } = await deliverOne(t, 'hmac')
  for (const Library of [StandardWebhook, SvixWebhook]) {
    const library = new Library(webhook.secret ?? '')
    t.doesNotThrow(() => library.verify(body, headers))
    t.throws(() => library.verify(body.replace('order-1', 'order-2'), headers))
    t.throws(() => library.verify(body, { ...headers, 'webhook-id': `${headers['webhook-id']}x` }))
  }
})

for (const signature of ['ed25519', 'hmac'] as const) {
  t.test(`the CloudEvents SDK reads a delivered message: ${signature}`, async (t) => {
    const { headers, body, org, order } = await deliverOne(t, signature)
    t.ok(HTTP.isEvent({ headers, body }))
    const event = HTTP.toEvent({ headers, body }) as CloudEvent
    t.ok(event.validate())
    t.match(event, {
      specversion: '1.0',
      id: 'order-1.1',
      source: `/orgs/${org}`,
      type: 'orders.order.placed.v1',
      subject: 'order-1',
      data: order,
    })
    t.notOk(HTTP.isEvent({ headers: { ...headers, 'content-type': 'application/json' }, body }), 'control')
  })
}
