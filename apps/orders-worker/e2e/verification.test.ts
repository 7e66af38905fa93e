import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { deliverOne } from '../test/webhooks/delivered.ts'

const run = promisify(execFile)
const requirement = 'standardwebhooks==1.1.0'
const hash = '9a88d48a1f198be61517fc7ad328cf58ba02b73f0fbd8941d4213e9c0b6c2a61'
const program = `
import json, sys
from standardwebhooks import Webhook
message = json.load(sys.stdin)
print(json.dumps(Webhook(message["secret"]).verify(message["body"], message["headers"])))
`

/** What the Python library reads in a message. Rejects if it does not accept the message. */
async function verify(folder: string, message: object): Promise<unknown> {
  const running = run('python3', ['-c', program], { env: { PATH: process.env.PATH, PYTHONPATH: folder } })
  running.child.stdin?.end(JSON.stringify(message))
  return JSON.parse((await running).stdout)
}

t.test('the Python library of Standard Webhooks accepts a delivered message, and rejects a changed one', async (t) => {
  const folder = t.testdir({ 'requirements.txt': `${requirement} --hash=sha256:${hash}\n` })
  const options = [
    '--quiet',
    '--disable-pip-version-check',
    '--root-user-action=ignore',
    '--no-deps',
    '--require-hashes',
  ]
  await run('python3', ['-m', 'pip', 'install', ...options, '--target', folder, '-r', `${folder}/requirements.txt`])
  const { headers, body, webhook } = await deliverOne(t, 'hmac')
  const message = { headers, body, secret: webhook.secret }
  t.same(await verify(folder, message), JSON.parse(body))
  await t.rejects(verify(folder, { ...message, body: body.replace('order-1', 'order-2') }), /WebhookVerificationError/)
})
