import { generateKeyPairSync, randomBytes, verify } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { readSecret, signatureHeaders } from '../../src/webhooks/signature.ts'

const now = Math.floor(Date.now() / 1000)
const message = { id: 'msg_1', timestamp: now, body: '{"text":"caf\u00e9 \u2615"}' }

function ed25519() {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' })
  return { publicKey, seed: Buffer.from(d, 'base64url'), raw: Buffer.from(x, 'base64url') }
}

t.test('HMAC is that of the Standard Webhooks example', async (t) => {
  const secret = readSecret('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw')
  const example = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1614265330, body: '{"test": 2432232314}' }
  t.strictSame(signatureHeaders(example, [secret]), {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  })
})

t.test('the library accepts HMAC of every length, and nothing that was changed', async (t) => {
  for (const bytes of [24, 32, 64]) {
    const text = `whsec_${randomBytes(bytes).toString('base64')}`
    const headers = signatureHeaders(message, [readSecret(text)])
    const webhook = new Webhook(text)
    t.same(webhook.verify(message.body, headers), JSON.parse(message.body))
    t.throws(() => webhook.verify(`${message.body} `, headers), /No matching signature/)
    t.throws(() => webhook.verify(message.body, { ...headers, 'webhook-id': 'msg_2' }), /No matching signature/)
    t.throws(() => webhook.verify(message.body, { ...headers, 'webhook-timestamp': `${now - 1}` }), /No matching/)
  }
})

t.test('Ed25519 signs with a seed, alone or before its public key', async (t) => {
  const { publicKey, seed, raw } = ed25519()
  for (const key of [seed, Buffer.concat([seed, raw])]) {
    const secret = readSecret(`whsk_${key.toString('base64')}`)
    const [version, signature = ''] = signatureHeaders(message, [secret])['webhook-signature']?.split(',') ?? []
    t.equal(version, 'v1a')
    const verifies = (content: string) =>
      verify(null, Buffer.from(content), publicKey, Buffer.from(signature, 'base64'))
    t.ok(verifies(`msg_1.${now}.${message.body}`))
    t.notOk(verifies(`msg_1.${now}.${message.body} `))
  }
})

t.test('while secrets rotate, either is enough', async (t) => {
  const texts = [randomBytes(32), randomBytes(32)].map((key) => `whsec_${key.toString('base64')}`)
  const secrets = [...texts.map(readSecret), { kind: 'ed25519', key: ed25519().seed } as const]
  const headers = signatureHeaders(message, secrets)
  t.match(headers['webhook-signature'], /^v1,\S+ v1,\S+ v1a,\S+$/)
  for (const text of texts) t.ok(new Webhook(text).verify(message.body, headers))
  const other = `whsec_${randomBytes(32).toString('base64')}`
  t.throws(() => new Webhook(other).verify(message.body, headers), /No matching signature/)
})

t.test('other keys are refused, and not told', async (t) => {
  for (const text of ['', 'whsec_', 'whpk_AAAA', 'whsec_a b', 'secret', 'whsec_AAAA\n']) {
    t.throws(() => readSecret(text), { message: 'a secret starts with whsec_ or whsk_, and base64 follows' }, text)
  }
  for (const length of [0, 23, 65]) {
    t.throws(() => signatureHeaders(message, [{ kind: 'hmac', key: randomBytes(length) }]), /24 to 64 bytes/)
  }
  for (const length of [0, 31, 33, 63, 65]) {
    t.throws(() => signatureHeaders(message, [{ kind: 'ed25519', key: randomBytes(length) }]), /32 or 64 bytes/)
  }
})
