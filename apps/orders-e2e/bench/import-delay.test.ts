import { createCluster } from '@orders/database/testing'
import t from 'tap'
import { until } from '../src/faults/careless-database.ts'
import { startImporting } from '../src/faults/import-beside.ts'

const lines = Number(process.env.IMPORT_LINES ?? 200_000)
const maxMs = 1000
t.setTimeout(850_000)

const percentile = (values: number[], part: number) =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * part) - 1] as number

t.test(`orders beside an import of ${lines} lines with 20 dead webhooks are confirmed within 1 s`, async (t) => {
  const { url } = await createCluster(t)
  const { quiet, importLines, placeAndAwait, backlog } = await startImporting(t, url)
  const began = performance.now()
  let importing = true
  const report = importLines(lines).finally(() => {
    t.comment(`the import took ${((performance.now() - began) / 1000).toFixed(1)} s`)
    importing = false
  })
  await until(async () => (await backlog()) > 2000)

  const delays: number[] = []
  let refusals = 0
  while (importing || (await backlog()) > 2000) {
    const { ms, refused } = await placeAndAwait(quiet)
    delays.push(ms)
    refusals += refused
  }

  t.match(await report, { lines, placed_count: lines })
  const [p50, p99] = [percentile(delays, 0.5), percentile(delays, 0.99)]
  t.comment(`events waited for ${((performance.now() - began) / 1000).toFixed(1)} s`)
  t.comment(
    `${delays.length} orders: p50 ${Math.round(p50)} ms, max ${Math.round(Math.max(...delays))} ms, ${refusals} requests refused`,
  )
  t.ok(p99 <= maxMs, `p99 ${Math.round(p99)} ms of at most ${maxMs} ms`)
})
