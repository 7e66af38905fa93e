import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { OrderRef, Outcome, QueuedEvent } from '@orders/orders'
import type { Message } from 'rhea'
import t, { type Test } from 'tap'
import { type BrokerAddress, readBrokerAddress } from '../src/broker/address.ts'
import { createBroker } from '../src/broker/broker.ts'
import { readMessage, toMessage } from '../src/broker/cloud-event.ts'
import { startPeer } from './broker/peer.ts'

const org = '01890000-0000-4000-8000-000000000001'

function eventOf(id: string, version = 1): QueuedEvent {
  return {
    queue_id: version,
    attempts: 0,
    waits: false,
    type: version === 1 ? 'orders.order.placed.v1' : 'orders.order.confirmed.v1',
    id,
    org_id: org,
    project_id: null,
    amount: '12.50',
    currency: 'EUR',
    status: 'placed',
    description: null,
    metadata: {},
    created_at: '2026-11-21 01:02:03.4+00',
    updated_at: '2026-11-21 01:02:03.4+00',
    version,
  }
}

/** A broker at a peer, as it says what it does. */
async function open(
  t: Test,
  address: BrokerAddress,
  getToken?: () => Promise<{ token: string; expiresOnTimestamp: number }>,
) {
  const changes: string[] = []
  const published: string[] = []
  let told = Promise.withResolvers<void>()
  const broker = createBroker({
    address,
    handle: async (events: OrderRef[]): Promise<Outcome[]> =>
      events.map(({ id }) => (id === 'bad' ? new Error('will not do') : undefined)),
    onChange: (direction, why) => {
      changes.push(`${direction} ${why?.message ?? 'up'}`)
      told.resolve()
      told = Promise.withResolvers()
    },
    onPublished: (outcome, count) => published.push(`${outcome} ${count}`),
    onConsumed: () => {},
    onFailure: () => {},
    ...(getToken ? { getToken } : {}),
  })
  broker.open()
  t.teardown(() => broker.close())
  /** Waits for a change that one of these says. */
  const until = async (said: RegExp) => {
    while (!changes.some((change) => said.test(change))) await told.promise
  }
  return { broker, changes, published, until }
}

const at = (port: number) => readBrokerAddress(`amqp://u:p@127.0.0.1:${port}/orders`)

t.test('addresses say where the queue is, and who asks', async (t) => {
  const read = (text: string) => readBrokerAddress(text)
  const login = { username: 'u', password: 'p/+ä' }
  t.match(read('amqp://u:p%2F%2B%C3%A4@rabbit'), {
    host: 'rabbit',
    port: 5672,
    tls: false,
    login,
    queue: '/amq/queue/orders',
  })
  t.match(read('amqps://u:p@rabbit:5673/queues/orders'), { port: 5673, tls: true, queue: '/queues/orders' })
  t.match(read('amqp://u:p@[::1]/events'), { host: '::1', queue: 'events' })
  const key = read('amqps://Root:k%3D@acme.servicebus.windows.net')
  t.match(key, { port: 5671, queue: 'orders', login: { username: 'Root', password: 'k=' } })
  const identity = read('amqps://acme.servicebus.windows.net')
  t.equal(identity.login, undefined)
  t.equal(identity.audience, 'sb://acme.servicebus.windows.net/orders')

  const bad = [
    'rabbit',
    'http://u:hidden@rabbit',
    'amqp://u:hidden@',
    'amqp://rabbit',
    'amqp://u@rabbit',
    'amqp://:hidden@rabbit',
  ]
  const more = [
    'amqp://u:hid/den@rabbit',
    'amqp://u:hidden%2@rabbit',
    'amqp://acme.servicebus.windows.net',
    'amqp://u:hidden@a?b',
  ]
  for (const text of [...bad, ...more]) {
    t.throws(() => read(text), { name: 'SettingsError', message: /^EVENTS_BROKER cannot be used: [^\n]+\.$/ }, text)
    t.throws(() => read(text), { message: /^(?!.*hid)/ }, text)
  }
})

t.test('a bad address ends the start with a sentence, before anything is opened', async (t) => {
  const program = join(import.meta.dirname, '../src/worker.ts')
  const file = join(t.testdir({ secret: 'amqp://u:hidden@\n' }), 'secret')
  for (const setting of [{ EVENTS_BROKER: 'amqp://rabbit' }, { EVENTS_BROKER_FILE: file }]) {
    const env = { PATH: process.env.PATH, DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none', ...setting }
    const { status, stdout, stderr } = spawnSync(process.execPath, [program], { env, encoding: 'utf8' })
    t.equal(status, 1)
    t.match(stdout + stderr, /^EVENTS_BROKER cannot be used: [^\n]+\.\n$/)
    t.notMatch(stderr, /hidden/)
  }
})

t.test('a message says what its event was, and any other says nothing', async (t) => {
  const message = toMessage(eventOf('a', 2))
  t.strictSame(readMessage(message), { org_id: org, id: 'a', version: 2, type: 'orders.order.confirmed.v1' })
  t.equal(readMessage({ ...message, content_type: 'application/json' } as Message), undefined)
  t.equal(readMessage({ ...message, body: String(message.body.content) } as Message), undefined)
  t.equal(readMessage({ ...message, body: { ...message.body, content: [message.body.content] } } as Message), undefined)
})

t.test("a refused event holds back its order's later ones, and nobody else's", async (t) => {
  for (const refusal of ['reject', 'release', 'modify'] as const) {
    const { messages, port } = await startPeer(t, {
      answer: ({ message_id }) => (message_id === `${org}/bad.1` ? refusal : 'accept'),
    })
    const { broker, until, published } = await open(t, at(port))
    await until(/publish up/)
    const events = [eventOf('a', 1), eventOf('bad', 1), eventOf('bad', 2), eventOf('a', 2), eventOf('b', 1)]
    const [first, bad, behind, ...others] = await broker.publish(events)
    t.strictSame([first, ...others], [undefined, undefined, undefined])
    t.match(bad, refusal === 'reject' ? { message: 'rejected by the broker: will not' } : { message: /released/ })
    t.match(behind, Error)
    t.strictSame(
      messages.map(({ message_id }) => String(message_id).slice(org.length + 1)),
      ['a.1', 'bad.1', 'b.1', 'a.2'],
    )
    t.strictSame(published, ['refused 2', 'accepted 3'])
  }
})

t.test('events that are settled at once each have their own outcome', async (t) => {
  const [good, bad] = [toMessage(eventOf('good')), toMessage(eventOf('bad'))]
  const { port, answers } = await startPeer(t, { deliver: [bad, bad, bad, bad, good, bad] })
  await open(t, at(port))
  while (!answers[5]) await nextTurn()
  t.strictSame(answers.slice(4), ['accepted', 'rejected'], 'the last had failed four times before')
})

t.test('a connection that is lost fails the batch; the next one goes over another', async (t) => {
  let answers = false
  const peer = await startPeer(t, {
    answer: () => {
      if (answers) return 'accept'
      process.nextTick(peer.cut)
      return undefined
    },
  })
  const { broker, changes, until } = await open(t, at(peer.port))
  await until(/publish up/)
  await t.rejects(broker.publish([eventOf('a'), eventOf('b')]), { name: 'BrokerError' })
  await t.rejects(broker.publish([eventOf('a')]), { name: 'BrokerError' }, 'at once, while nobody is there')
  answers = true
  changes.length = 0
  await until(/publish up/)
  let outcomes: Outcome[] | undefined
  while (!outcomes) outcomes = await broker.publish([eventOf('a')]).catch(() => undefined)
  t.strictSame(outcomes, [undefined])
})

t.test('an identity of the cloud shows its token before it opens links, and again before that ends', async (t) => {
  const { port, requests } = await startPeer(t, { claims: () => 202 })
  const address = { ...readBrokerAddress('amqps://acme.servicebus.windows.net'), host: '127.0.0.1', port, tls: false }
  const scopes: unknown[] = []
  const { broker, until, changes } = await open(t, address, async (...scope: unknown[]) => {
    scopes.push(...scope)
    return { token: `token ${scopes.length}`, expiresOnTimestamp: Date.now() + 1000 }
  })
  await until(/publish up/)
  await until(/consume up/)
  t.match(requests[0], {
    application_properties: { operation: 'put-token', type: 'jwt', name: 'sb://acme.servicebus.windows.net/orders' },
  })
  t.strictSame(await broker.publish([eventOf('a')]), [undefined])
  while (requests.length < 4) await nextTurn()
  t.strictSame(
    requests
      .slice(0, 4)
      .map(({ body }) => body)
      .sort(),
    ['token 1', 'token 2', 'token 3', 'token 4'],
  )
  t.ok(scopes.every((scope) => scope === 'https://servicebus.azure.net/.default'))
  t.strictSame(
    changes,
    ['publish up', 'consume up'].sort(() => (changes[0] === 'publish up' ? 0 : -1)),
    'it was not interrupted',
  )
})

t.test('an identity that is refused, or cannot be had, is told', async (t) => {
  const { port } = await startPeer(t, { claims: () => 401 })
  const address = { ...readBrokerAddress('amqps://acme.servicebus.windows.net'), host: '127.0.0.1', port, tls: false }
  const refused = await open(t, address, async () => ({ token: 'bad', expiresOnTimestamp: Date.now() + 60_000 }))
  await refused.until(/publish the broker refuses the identity: as the test says/)
  t.notOk(refused.broker.isUp())
  const without = await open(t, address, async () => {
    throw new Error('nobody is signed in')
  })
  await without.until(/consume nobody is signed in/)
  t.notOk(without.broker.isUp())
})
