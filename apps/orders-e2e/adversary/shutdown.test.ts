import { once } from 'node:events'
import http from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { send } from '../src/faults/http.ts'
import { serve } from '../src/faults/service-process.ts'

const metadata = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`k${i}`, 'x'.repeat(500)]))
const ndjson = { 'content-type': 'application/x-ndjson', accept: 'application/x-ndjson' }
t.setTimeout(180_000)

function open(url: string, options: http.RequestOptions) {
  const request = http.request(url, { agent: false, ...options })
  const errors: Error[] = []
  request.on('error', (error) => errors.push(error))
  const response = once(request, 'response').then(([found]) => found as http.IncomingMessage)
  return { request, response, errors }
}

/** Reads a response to its end; whether it is complete, or was broken off. */
async function readAll(response: http.IncomingMessage) {
  const pieces: string[] = []
  response.on('error', () => {})
  response.setEncoding('utf8').on('data', (piece) => pieces.push(piece))
  await new Promise((resolve) => response.once('close', resolve))
  return { text: pieces.join(''), complete: response.complete }
}

async function placeLarge(url: string, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => JSON.stringify({ id: `large-${i}`, amount: 1, metadata }))
  const { request, response } = open(`${url}/orders/import`, { method: 'POST', headers: ndjson })
  request.end(lines.join('\n'))
  const { text } = await readAll(await response)
  if (!text.includes(`"placed_count":${count}`)) throw new Error(text.slice(-500))
}

/** Sends lines until the response ends, as a client does that reads the report while it sends. */
async function sendLines(request: http.ClientRequest, ended: Promise<unknown>): Promise<number> {
  let [running, sent] = [true, 0]
  const stop = () => {
    running = false
  }
  ended.then(stop, stop)
  for (; running; sent++) {
    request.write(`${JSON.stringify({ id: `line-${sent}`, amount: 1 })}\n`)
    await delay(2)
  }
  return sent
}

t.test('SIGTERM ends a long import with its report, a slow export and a stream, and exits 0', async (t) => {
  const { url: DATABASE_URL } = await createScratchDatabase(t)
  const service = await serve(t, { DATABASE_URL, DRAIN_DELAY_MS: '500' })
  await placeLarge(service.url, 800)
  const file = open(`${service.url}/orders/export?format=ndjson`, { method: 'GET' })
  file.request.end()
  const slow = await file.response // and not read
  t.equal(slow.statusCode, 200)
  const stream = open(`${service.url}/orders/stream`, { method: 'GET' })
  stream.request.end()
  const streaming = readAll(await stream.response)
  const lines = open(`${service.url}/orders/import`, { method: 'POST', headers: ndjson })
  lines.request.write('{}\n')
  const reading = readAll(await lines.response)
  const sending = sendLines(lines.request, reading)
  for (let placed = 0; placed < 200; await delay(20)) {
    placed = (await send(`${service.url}/orders/line-200`)).status === 200 ? 200 : 0
  }

  service.kill('SIGTERM')
  const began = performance.now()
  const [{ text, complete }, sent] = await Promise.all([reading, sending])
  const exit = await service.exited

  t.strictSame(exit, { code: 0, signal: null })
  t.comment(`${Math.round(performance.now() - began)} ms from SIGTERM to the exit`)
  t.equal(complete, true)
  const report = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '')
  t.match(report, { type: 'report', failure: { error: 'SHUTTING_DOWN' } })
  t.equal(report.failure.through_line, report.lines)
  t.equal(report.placed_count, report.lines - 1)
  t.ok(report.lines > 200 && report.lines <= sent + 1, `${report.lines} of ${sent} lines`)
  t.match((await streaming).text, /event: end\ndata: \{"reason":"the server is going down"\}\n\n$/)
  const exported = await readAll(slow)
  t.equal(exported.complete, false, 'an export that is not whole breaks off')

  const again = await serve(t, { DATABASE_URL })
  const { through_line } = report.failure
  const last = await send(`${again.url}/orders/line-${through_line - 2}`)
  t.equal(last.status, 200, 'each line up to through_line is placed')
})

t.test('a service that does not end its imports breaks them off', async (t) => {
  const { url: DATABASE_URL } = await createScratchDatabase(t)
  const preload = pathToFileURL(join(import.meta.dirname, '../src/faults/without-drain.ts')).href
  const service = await serve(t, { DATABASE_URL, DRAIN_DELAY_MS: '0', NODE_OPTIONS: `--import=${preload}` })
  const lines = open(`${service.url}/orders/import`, { method: 'POST', headers: ndjson })
  lines.request.write('{}\n')
  const reading = readAll(await lines.response)
  const sending = sendLines(lines.request, reading)

  service.kill('SIGTERM')
  const [{ text, complete }] = await Promise.all([reading, sending])
  await service.exited

  t.equal(complete, false)
  t.notMatch(text, /"type":"report"/)
})
