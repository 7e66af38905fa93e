import type http from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { preloaded } from '../src/faults/break-sources.ts'
import { send } from '../src/faults/http.ts'
import { ndjson, openResponse, placeLarge } from '../src/faults/open-response.ts'
import { serve } from '../src/faults/service-process.ts'

const anImport = { method: 'POST', headers: ndjson, body: '{}\n', more: true } as const
t.setTimeout(180_000)

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
  const slow = await openResponse(`${service.url}/orders/export?format=ndjson`, { reads: false })
  t.equal(slow.response.statusCode, 200)
  const stream = await openResponse(`${service.url}/orders/stream`)
  const lines = await openResponse(`${service.url}/orders/import`, anImport)
  const sending = sendLines(lines.request, lines.ended)
  for (let placed = 0; placed < 200; await delay(20)) {
    placed = (await send(`${service.url}/orders/line-200`)).status === 200 ? 200 : 0
  }

  service.kill('SIGTERM')
  const began = performance.now()
  const [{ text, complete }, sent] = await Promise.all([lines.ended, sending])
  const exit = await service.exited

  t.strictSame(exit, { code: 0, signal: null })
  t.comment(`${Math.round(performance.now() - began)} ms from SIGTERM to the exit`)
  t.equal(complete, true)
  const report = JSON.parse(text.trimEnd().split('\n').at(-1) ?? '')
  t.match(report, { type: 'report', failure: { error: 'SHUTTING_DOWN' } })
  t.equal(report.failure.through_line, report.lines)
  t.equal(report.placed_count, report.lines - 1)
  t.ok(report.lines > 200 && report.lines <= sent + 1, `${report.lines} of ${sent} lines`)
  t.match((await stream.ended).text, /event: end\ndata: \{"reason":"the server is going down"\}\n\n$/)
  slow.response.resume()
  t.equal((await slow.ended).complete, false, 'an export that is not whole breaks off')

  const again = await serve(t, { DATABASE_URL })
  const { through_line } = report.failure
  const last = await send(`${again.url}/orders/line-${through_line - 2}`)
  t.equal(last.status, 200, 'each line up to through_line is placed')
})

t.test('a service that does not end its imports breaks them off', async (t) => {
  const { url: DATABASE_URL } = await createScratchDatabase(t)
  const service = await serve(t, { DATABASE_URL, DRAIN_DELAY_MS: '0', ...preloaded('without-drain.ts') })
  const lines = await openResponse(`${service.url}/orders/import`, anImport)
  const sending = sendLines(lines.request, lines.ended)

  service.kill('SIGTERM')
  const [{ text, complete }] = await Promise.all([lines.ended, sending])
  await service.exited

  t.equal(complete, false)
  t.notMatch(text, /"type":"report"/)
})
