import { appendFileSync, rmSync } from 'node:fs'
import { join, relative } from 'node:path'
import { createScratchDatabase } from '@orders/database/testing'
import t, { type Test } from 'tap'
import { scrapeWorker, unreachableRedis } from '../src/check/service.ts'
import { ordersDashboard } from '../src/dashboards/orders.ts'
import { expressionsOf, faultsOf } from '../src/monitoring/dashboard.ts'
import { missingFrom, readExposition } from '../src/monitoring/exposition.ts'
import { staleFiles, writeGenerated } from '../src/monitoring/generated.ts'
import { withoutVariables } from '../src/monitoring/promql.ts'
import { readAlerts } from '../src/monitoring/rules.ts'
import { gitopsRoot } from '../src/render.ts'
import { startService } from './service.ts'

t.test('the committed dashboard and rule file are what their sources say', async (t) => {
  t.same(staleFiles(), [])
  const folder = t.testdir()
  const files = ['orders.json', 'orders.rules.yaml']
  const paths = files.map((file) => relative(gitopsRoot, join(folder, file)))
  t.same(staleFiles(folder), paths, 'missing')
  writeGenerated(folder)
  t.same(staleFiles(folder), [])
  for (const [index, file] of files.entries()) {
    appendFileSync(join(folder, file), ' ')
    t.same(staleFiles(folder), [paths[index]], `${file} by other hands`)
    writeGenerated(folder)
  }
  rmSync(join(folder, 'orders.json'))
  t.same(staleFiles(folder), [paths[0]])
})

t.test('every panel can be read, and none lies over another', async (t) => {
  t.same(faultsOf(ordersDashboard()), [])
  const headings = ordersDashboard().panels?.map(({ title }) => title)
  t.match(headings, ['Requests', 'Errors', 'Time to answer, p95', 'Pods up', 'Requests'])
  for (const title of ['Connection pool', 'Batch size', 'Orders waiting for a batch']) t.ok(headings?.includes(title))

  // biome-ignore lint/suspicious/noExplicitAny: breaks what the types would not let it break
  const broken = (t: Test, fault: string, breakIt: (panels: any[]) => void) => {
    const dashboard = ordersDashboard()
    breakIt(dashboard.panels ?? [])
    t.match(faultsOf(dashboard), [fault])
  }
  broken(t, 'panel id 1 stands twice', (panels) => {
    panels[1].id = 1
  })
  broken(t, 'panel title Errors stands twice', (panels) => {
    panels[0].title = 'Errors'
  })
  broken(t, 'Requests has no title or no description', ([panel]) => delete panel.description)
  broken(t, 'Requests has no unit', ([panel]) => delete panel.fieldConfig.defaults.unit)
  broken(t, 'Requests asks for nothing', ([panel]) => panel.targets.pop())
  broken(t, 'Requests names a data source', ([panel]) => {
    panel.targets[0].datasource = { uid: 'mine' }
  })
  broken(t, 'Requests gives two queries one name', ([panel]) => panel.targets.push(panel.targets[0]))
  broken(t, 'Pods up does not fit the page', (panels) => {
    panels[3].gridPos.w = 7
  })
  broken(t, 'Errors lies over Time to answer, p95', (panels) => {
    panels[1].gridPos.w = 7
  })
})

t.test('what rules and dashboard ask for is in /metrics of the running service', async (t) => {
  const address = await startService(t, unreachableRedis)
  const placed = await fetch(`${address}/api/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ amount: 1.5 }),
  })
  t.equal(placed.status, 201)
  const told = await (await fetch(`${address}/metrics`)).text()
  const exposition = readExposition(`${told}\n${await scrapeWorker((await createScratchDatabase(t)).url)}`)
  const expressions = [
    ...expressionsOf(ordersDashboard()).map(withoutVariables),
    ...readAlerts().map(({ expr }) => expr),
  ]
  t.ok(expressions.length > 25)
  for (const expr of expressions) t.same(missingFrom(exposition, expr), [], expr)

  const missing = (expr: string) => missingFrom(exposition, expr).map((fault) => fault.split(',')[0])
  t.same(missing('sum(rate(orders_plaecd_total[5m]))'), ['/metrics has no orders_plaecd_total'])
  t.same(missing('http_requests_total{code="500"}'), ['http_requests_total of /metrics has no label code'])
  t.same(missing('orders_placed_total / orders_lost_total'), ['/metrics has no orders_lost_total'])
  t.same(missing('http_request_summary_seconds'), ['/metrics has no http_request_summary_seconds'], 'a type, no sample')
  t.throws(() => missing('sum(rate(orders_placed_total[5m])'), /not PromQL/)
  t.throws(() => missing('{__name__="orders_placed_total"}'), /without the name of its metric/)
  t.throws(() => withoutVariables('rate(orders_placed_total[$interval])'), /\$interval is not a variable/)
})
