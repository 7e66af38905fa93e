import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { createScratchDatabase } from '@orders/database/testing'
import t from 'tap'
import { until } from '../src/faults/careless-database.ts'
import { startImporting } from '../src/faults/import-beside.ts'

const lines = 20_000
const rounds = 12
/** A move that begins before the order is committed does not see it. On a busy machine, the commit takes several moves. */
const maxMoves = 4
/** With 499 that are due a webhook gets more: one row of up to 500 events, and further ones of fewer than 500 together. */
const mostUntried = 1500
// So slow that events wait for as long as the test runs.
const worker = { EVENTS_PER_SECOND: '2000' }
t.setTimeout(180_000)

/** A receiver that answers at once. */
async function startReceiver() {
  const received: unknown[] = []
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => {
      received.push(request.headers['webhook-id'])
      response.end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

t.test('an import with 20 dead webhooks delays no event of another organisation', async (t) => {
  const { url } = await createScratchDatabase(t)
  const { admin, noisy, quiet, ...system } = await startImporting(t, url, worker)
  const receiver = await startReceiver()
  await system.addWebhook(quiet, receiver.url)
  const importing = system.importLines(lines)
  await until(async () => (await system.backlog()) > 2000)

  const moves: number[] = []
  for (let i = 0; i < rounds; i++) moves.push((await system.placeAndAwait(quiet)).moves)

  t.ok(Math.max(...moves) <= maxMoves, `each order left within ${maxMoves} moves: ${moves}`)
  await until(async () => receiver.received.length >= 2 * rounds)
  t.ok((await system.backlog()) > 2000, 'events of the import still wait')
  t.match(await importing, { lines, placed_count: lines })

  t.comment('a dead webhook gets deliveries only as fast as they are tried, so its backlog takes little room')
  const { rows } = await admin.query(
    `SELECT max(untried)::int AS untried FROM (SELECT count(*) AS untried FROM webhook_deliveries
      WHERE org_id = $1 AND state = 'pending' AND attempts = 0 GROUP BY webhook_id)`,
    [noisy.orgId],
  )
  t.ok(rows[0].untried < mostUntried, `${rows[0].untried} deliveries to one dead webhook were never tried`)

  t.comment('control: an order of the importing organisation waits for its import, and is counted so')
  const own = await system.placeAndAwait(noisy)
  t.ok(own.moves > maxMoves, `it left after ${own.moves} moves`)
})
