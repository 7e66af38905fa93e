import { spawn } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { createSender } from '../../src/webhooks/sender.ts'
import { readSecret, type Secret, signatureHeaders } from '../../src/webhooks/signature.ts'

const example = new URL('../../../../packages/schema/examples/receiver.ts', import.meta.url).pathname
const body = JSON.stringify({ type: 'orders.order.placed.v1', subject: 'caf\u00e9' })
const sender = createSender({ allowLoopback: true })
t.teardown(sender.close)

function makeHmac() {
  const text = `whsec_${randomBytes(32).toString('base64')}`
  return { secret: readSecret(text), shown: text }
}

function makeEd25519() {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const base64 = (text: string) => Buffer.from(text, 'base64url').toString('base64')
  return { secret: readSecret(`whsk_${base64(d)}`), shown: `whpk_${base64(x)}` }
}

/** Starts the example with these keys; `next` is the next line that it writes. */
async function startReceiver(t: Test, ...keys: string[]) {
  const env = { ...process.env, WEBHOOK_KEYS: keys.join(' ') }
  const child = spawn(process.execPath, [example, '0'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(async () => {
    child.kill()
    await once(child, 'exit')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async () => (await lines.next()).value as string
  return { url: await next(), next }
}

const nowPlus = (seconds: number) => Math.floor(Date.now() / 1000) + seconds

async function statusOf(url: string, id: string, secrets: Secret[], timestamp = nowPlus(0)) {
  return (await sender.sendWebhook({ url, id, timestamp, body, secrets })).status
}

for (const make of [makeHmac, makeEd25519]) {
  t.test(`the example takes what is signed and fresh: ${make.name}`, async (t) => {
    const { secret, shown } = make()
    const { url, next } = await startReceiver(t, shown)
    t.equal(await statusOf(url, 'msg_1', [secret]), 204)
    t.equal(await next(), 'msg_1 orders.order.placed.v1 caf\u00e9')
    t.equal(await statusOf(url, 'msg_1', [secret]), 204, 'sent again')
    t.equal(await statusOf(url, 'msg_2', [secret], nowPlus(-290)), 204)
    t.equal(await next(), 'msg_2 orders.order.placed.v1 caf\u00e9', 'what was sent again was not done again')
    for (const seconds of [-310, 310]) t.equal(await statusOf(url, 'msg_3', [secret], nowPlus(seconds)), 401)
    t.equal(await statusOf(url, 'msg_4', [make().secret]), 401, 'somebody else signed')

    const headers = signatureHeaders({ id: 'msg_5', timestamp: nowPlus(0), body }, [secret])
    const post = async (sent: Record<string, string>, text = body) =>
      (await fetch(url, { method: 'POST', headers: sent, body: text })).status
    t.equal(await post(headers, body.replace('placed', 'cancelled')), 401)
    t.equal(await post({ ...headers, 'webhook-id': 'msg_6' }), 401)
    t.equal(await post({ ...headers, 'webhook-timestamp': String(nowPlus(1)) }), 401)
    t.equal(await post({}), 401)
    t.equal(await post({ ...headers, 'webhook-signature': 'v1,a v1a,a' }), 401)
    t.equal(await post(headers), 204, 'untouched')
  })
}

t.test('while a secret is rotated, receivers of the old one and of the new one take the same message', async (t) => {
  const [old, renewed] = [makeHmac(), makeEd25519()]
  const behind = await startReceiver(t, old.shown)
  const ahead = await startReceiver(t, renewed.shown)
  const both = await startReceiver(t, old.shown, renewed.shown)
  for (const { url } of [behind, ahead, both]) {
    t.equal(await statusOf(url, 'msg_1', [renewed.secret, old.secret]), 204)
  }
  const afterwards = [behind, ahead, both].map(({ url }) => statusOf(url, 'msg_2', [renewed.secret]))
  t.strictSame(await Promise.all(afterwards), [401, 204, 204])
})
