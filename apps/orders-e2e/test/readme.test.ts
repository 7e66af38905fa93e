import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { checkCurls } from '../src/readme/check-curls.ts'
import { leftovers } from '../src/readme/leftovers.ts'
import { parseReadme } from '../src/readme/parse.ts'
import { settingsInHelp } from '../src/readme/settings.ts'

const root = join(import.meta.dirname, '../../..')
const readme = readFileSync(join(root, 'README.md'), 'utf8')

t.test('the README shows what is run, and what is there', async (t) => {
  const { start, test, curls, settings, links } = parseReadme(readme)
  t.equal(start, 'npm ci && npm start')
  t.equal(test, 'npm ci && npm test')
  t.strictSame(
    curls.map((lines) => lines.filter(({ answer }) => answer).length),
    [5, 6, 2],
  )
  const first = `curl -X POST -H 'Content-Type: application/json' -d '{"id":"ci-test-1","amount":123.45}' http://localhost:8000/orders`
  t.equal(curls[0]?.[0]?.command, first, 'a line that clients of the older services send')
  t.equal(curls[0]?.[0]?.answer?.status, 201)
  for (const link of links) t.ok(existsSync(join(root, link)), `${link} is there`)

  t.equal(settings, settingsInHelp(), 'the settings are those of --help: npx nx run orders-e2e:update-readme')
})

t.test('a README that shows what nothing runs is refused', async (t) => {
  const broken: [string, (text: string) => string, RegExp][] = [
    ['a command in no marked block', (text) => `${text}\n\`\`\`sh\nnpm run deploy\n\`\`\`\n`, /npm run deploy/],
    [
      'a command in a block without a language',
      (text) => `${text}\n\`\`\`\nnpm run deploy\n\`\`\`\n`,
      /npm run deploy/,
    ],
    ['no start command', (text) => text.replace('```sh start', '```json'), /"sh start", and has 0/],
    ['two test commands', (text) => `${text}\n\`\`\`sh test\nnpm t\n\`\`\`\n`, /"sh test", and has 2/],
    ['a curl line that promises no status', (text) => text.replace(' # 201', ''), /without "# <status>"/],
    [
      'another command beside them',
      (text) => text.replace('API=', 'npm run deploy\nAPI='),
      /curl line .*npm run deploy/,
    ],
  ]
  for (const [name, edit, message] of broken) t.throws(() => parseReadme(edit(readme)), { message }, name)
})

t.test('a request that answers otherwise than the README says is found', async (t) => {
  const server = createServer(({ url }, answer) =>
    answer.writeHead(url === '/none' ? 404 : 201).end(`asked for ${url}`),
  )
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const api = { command: `API=http://127.0.0.1:${(server.address() as AddressInfo).port}` }
  const name = { command: 'NAME=$(curl -s $API/first | cut -d/ -f2)' }
  const asks = (path: string, status: number, contains = '') => ({
    command: `curl "$API/${path}"`,
    answer: { status, contains },
  })
  t.strictSame(await checkCurls([api, name, asks('$NAME', 201, 'asked for /first'), asks('none', 404)]), [])
  t.match(await checkCurls([api, asks('none', 201), asks('x', 201)]), [/none" answered 404, not 201: asked for/])
  t.match(await checkCurls([api, asks('x', 201, 'y')]), [/answered without y: asked for \/x$/])
  t.match(await checkCurls([asks('x', 201)]), [/answered 000, not 201: curl: /])
  t.match(await checkCurls([api, { command: 'NAME=$(mistyped)' }, asks('x', 201)]), [/the shell says: .*mistyped/])
})

t.test('a process that was left behind is found', async (t) => {
  const folder = t.testdir({})
  t.strictSame(leftovers(folder), [])
  const child = spawn('sleep', ['60'], { cwd: folder })
  const ended = once(child, 'exit')
  t.strictSame(leftovers(folder), [{ pid: child.pid, command: 'sleep 60' }])
  child.kill('SIGKILL')
  await ended
  t.strictSame(leftovers(folder), [])
})
